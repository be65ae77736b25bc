"""The commands that classify and embed files, folders and patterns."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from petl_modules import embed, predict
from petl_modules.inference import AudioClassifier, Embedder
from petl_modules.inference.embedding_files import read_embeddings
from petl_modules.utils import read_csv
from tests.trained import LABELS, write_run

RATE = 16_000


@pytest.fixture(scope="module")
def run(tiny_ast, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), "linear", tiny_ast).parent


@pytest.fixture(scope="module")
def classifier(run):
    return AudioClassifier(run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """14 files of half a second, two of them bad, one of three seconds."""
    folder = tmp_path_factory.mktemp("sounds")
    draw = np.random.default_rng(0)
    for index in range(11):
        samples = 0.1 * draw.standard_normal(RATE // 2)
        soundfile.write(folder / f"{index:02}.wav", samples, RATE)
    (folder / "deep").mkdir()
    long = 0.1 * draw.standard_normal((3 * 22_050, 2))
    soundfile.write(folder / "deep" / "長い.flac", long, 22_050)
    (folder / "bad.wav").write_bytes(b"junk")
    (folder / "empty.wav").write_bytes(b"")
    return folder


def started(command, *words):
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as end:
        command.main([*map(str, words)])
    return end.value.code


def lines_of(guesses):
    return [f"  {p:7.2%}  {label}" for label, p in guesses]


def test_a_file_has_its_lines(run, classifier, folder, capsys):
    file = folder / "00.wav"
    assert started(predict, run, file, file, "--top", 3) == 0
    expected = [str(file), *lines_of(classifier(file, top=3))]
    assert capsys.readouterr().out.splitlines() == [
        f"model: {classifier.folder}",
        *expected,
        *expected,
    ]


@pytest.mark.parametrize("size", [1, 4])
def test_a_folder_is_classified_but_for_its_bad_files(
    run, classifier, folder, size, capsys
):
    assert started(predict, run, folder, "--json", "--batch_size", size) == 1
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    good = sorted(map(str, folder.glob("[0-9]*.wav")))
    assert [row["file"] for row in found] == [
        *good,
        str(folder / "deep" / "長い.flac"),
    ]
    for row in found:
        known = classifier(row["file"], top=5)
        assert [one["label"] for one in row["classes"]] == [x for x, _ in known]
        assert [one["probability"] for one in row["classes"]] == pytest.approx(
            [p for _, p in known], abs=1e-6
        )
    errors = [x for x in said.err.splitlines() if x.startswith("error: ")]
    assert errors[0].startswith(f"error: {folder / 'bad.wav'}: not audio")
    assert errors[1] == f"error: {folder / 'empty.wav'}: empty file (0 bytes)"
    assert len(errors) == 2
    assert "長い.flac: longer than 1.015 s: the first" in said.err


def test_patterns_and_a_table(run, classifier, folder, tmp_path, capsys):
    table = tmp_path / "new" / "classes.csv"
    words = f"{folder}/0[0-4].wav", "--csv", table, "--top", 2
    assert started(predict, run, *words) == 0
    assert capsys.readouterr().out == f"5 files: {table}\n"
    rows = read_csv(table)
    assert len(rows) == 10 and [*rows[0]] == ["file", "label", "probability"]
    for first in rows[::2]:
        [(label, probability)] = classifier(first["file"], top=1)
        assert first["label"] == label
        assert float(first["probability"]) == pytest.approx(probability)
    message = started(predict, run, *words)
    assert "nothing is written over it: name another --csv" in message


def test_names_that_are_no_text_are_written_as_shown(run, folder, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")
    shutil.copy(folder / "00.wav", odd)
    table = tmp_path / "x.csv"
    assert started(predict, run, odd, "--csv", table, "--top", 1) == 0
    assert read_csv(table)[0]["file"] == str(tmp_path / r"caf\udce9.wav")


def test_a_folder_that_is_read_only_is_refused_first(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    message = started(predict, run, "a.wav", "--csv", tmp_path / "x.csv")
    assert f"as {tmp_path} is read-only: name another --csv" in message
    assert "nothing is written over" in started(
        predict, run, "a.wav", "--csv", ""
    )


def test_windows_of_a_file(run, classifier, folder, tmp_path, capsys):
    file = folder / "deep" / "長い.flac"
    picture, table = tmp_path / "a.png", tmp_path / "a.csv"
    words = run, file, "--window", 1, "--hop", 0.75
    assert started(predict, *words, "--picture", picture) == 0
    known = classifier(file, window=1, hop=0.75)
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"picture: {picture}"
    row = known.table()[0]
    assert lines[2:-11][0].split(maxsplit=3) == [
        "0.00",
        "1.00",
        f"{row['probability']:.2%}",
        row["label"],
    ]
    assert lines[-10 : -len(LABELS) - 1] == [
        "  mean of 4 windows:",
        *lines_of(known.best(5)),
    ]
    assert lines[-len(LABELS) - 1 :] == [
        "  maximum:",
        *lines_of(known.best(5, of="max")),
    ]
    assert picture.stat().st_size > 5_000
    assert started(predict, *words, "--csv", table, "--json", "--top", 1) == 0
    content = json.loads(capsys.readouterr().out)
    assert [w["start"] for w in content["windows"]] == [0, 0.75, 1.5, 2.0]
    assert content["mean"][0]["label"] == known.best(1)[0][0]
    assert content["max"][0]["probability"] == pytest.approx(known.max.max())
    rows = read_csv(table)
    assert [float(row["stop"]) for row in rows] == [1.0, 1.75, 2.5, 3.0]
    assert [row["label"] for row in rows] == [
        row["label"] for row in known.table()
    ]


def test_windows_go_on_behind_a_bad_file(run, folder, capsys):
    files = folder / "bad.wav", folder / "00.wav"
    assert started(predict, run, *files, "--window", 0.25) == 1
    said = capsys.readouterr()
    assert "mean of 2 windows" in said.out and "bad.wav: not audio" in said.err


def test_nothing_is_found(run, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    words = tmp_path / "none", f"{tmp_path}/*.wav"
    assert started(predict, run, *words, "--csv", tmp_path / "x.csv") == 1
    said = capsys.readouterr()
    assert said.err.count("no audio files are there") == 2
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch_size", "0"], "batch_size is 0"),
        (["--window", "0"], "window is 0"),
        (["--window", "nan"], "window is nan"),
        (["--hop", "1"], "go with --window"),
        (["--picture", "a.png"], "go with --window"),
    ],
)
def test_other_words_are_refused(run, folder, words, said, capsys):
    assert started(predict, run, folder, *words) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_done_is_refused_first(run, folder, tmp_path):
    file = folder / "00.wav"
    words = run, file, "--window", 0.2, "--picture"
    assert "must end with .png" in started(predict, *words, tmp_path / "a.txt")
    assert "in one file" not in str(
        started(predict, *words, tmp_path / "a.svg")
    )
    several = run, folder, "--window", 0.2, "--picture", tmp_path / "b.png"
    assert "--picture shows one file, and there are 14" in started(
        predict, *several
    )
    assert "the model takes 1.015 s" in started(
        predict, run, file, "--window", 9
    )


def test_embed_takes_folders_and_patterns(run, folder, tmp_path, capsys):
    output = tmp_path / "x.safetensors"
    words = folder / "deep", f"{folder}/0?.wav", folder / "00.wav"
    assert started(embed, run, *words, "--output", output) == 0
    found = read_embeddings(output)
    assert [*found] == [
        str(folder / "deep" / "長い.flac"),
        *sorted(map(str, folder.glob("0?.wav"))),
    ]
    expected = Embedder(run)([*found])
    np.testing.assert_allclose([*found.values()], expected, atol=1e-6)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    words = tmp_path, folder / "bad.wav", folder / "00.wav"
    assert started(embed, run, *words, "--output", output) == 1
    said = capsys.readouterr()
    assert "no audio files are there" in said.err
    assert f"error: {folder / 'bad.wav'}: not audio" in said.err
    assert len(read_embeddings(output)) == 1


def test_embedder_takes_every_form(run, folder):
    embedder, file = Embedder(run), folder / "00.wav"
    samples, rate = soundfile.read(file, dtype="float32")
    expected = embedder(file)
    assert expected.shape == (1, 128)
    found = embedder([file.read_bytes(), (samples, rate), open(file, "rb")])
    np.testing.assert_allclose(found, np.repeat(expected, 3, 0), atol=1e-6)
    assert embedder(f"{folder}/0?.wav").shape == (10, 128)
