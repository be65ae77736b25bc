"""Preparing ESC-50, on generated clips."""

import csv
import importlib
import io
import json
import multiprocessing
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_modules.data import AudioFacts
from petl_modules.data.prepare import finishing as preparation
from petl_modules.data.prepare import read_skipped
from petl_modules.utils import AudioError, DataError, DownloadError
from tests.corpora import sound_of

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ESC50"
HEADER = "filename,fold,target,category,esc10,src_file,take"
ROWS = [
    "1-17-A-0.wav,1,0,dog,True,17,A",
    "1-17-B-0.wav,1,0,dog,True,17,B",
    "2-18-A-49.wav,2,49,hand_saw,False,18,A",
]


@pytest.fixture
def esc50(monkeypatch):
    """The prepare script, imported as train.py imports it."""
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module("esc50_prepare")


@pytest.fixture(scope="module")
def parse():
    """The script's parser, once for all the examples of a property.

    Hypothesis asks each module for its file, which makes SpeechBrain's lazy
    ones load what is not installed: they get an answer here.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        module = importlib.import_module("esc50_prepare")
        lazy = importlib.import_module("speechbrain.utils.importutils")
        patch.setattr(lazy.LazyModule, "__file__", None, raising=False)
        yield module.parse_clips


def make(folder, rows=ROWS, header=HEADER):
    """Write a data folder with a short clip for each row."""
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    table = folder / "meta" / "esc50.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    for row in rows:
        path = folder / "audio" / row.split(",")[0]
        soundfile.write(path, sound_of(path.name), 16000)
    return folder


@pytest.fixture
def data(tmp_path):
    """A data folder of three good clips."""
    return make(tmp_path / "data")


def test_labels_are_the_official_ones(esc50):
    assert len(set(esc50.LABELS)) == 50
    some = {
        0: "dog",
        9: "crow",
        10: "rain",
        19: "thunderstorm",
        25: "footsteps",
    }
    some |= {31: "mouse_click", 38: "clock_tick", 40: "helicopter"}
    some |= {44: "engine", 49: "hand_saw"}
    assert {target: esc50.LABELS[target] for target in some} == some


def test_manifest(esc50, data, tmp_path):
    path, labels = esc50.prepare_esc50(data, tmp_path / "out", True)
    assert labels == esc50.LABELS
    manifest = json.loads(path.read_text())
    assert list(manifest) == ["1-17-A-0", "1-17-B-0", "2-18-A-49"]
    assert manifest["2-18-A-49"] == {
        "wav": "{data_root}/audio/2-18-A-49.wav",
        "duration": 0.1,
        "digest": manifest["2-18-A-49"]["digest"],
        "label": "hand_saw",
        "fold": 2,
        "recording": "18",
    }
    assert list((tmp_path / "out").glob("*.json")) == [path]


def test_short_list_with_a_byte_order_mark(esc50):
    text = (
        "\ufefffilename,fold,target,category\r\n"
        "b.wav, 3 ,4,frog\r\n\r\na.wav,1,0,dog"
    )
    clips = esc50.parse_clips(text.encode(), "x.csv")
    assert [(name, clip["fold"]) for name, clip in clips.items()] == [
        ("b", 3),
        ("a", 1),
    ]
    assert clips["b"] == {
        "wav": "audio/b.wav",
        "fold": 3,
        "label": "frog",
        "recording": "b",
    }


CHANGES = {
    "a clip's content": lambda data: soundfile.write(
        data / "audio" / "1-17-A-0.wav", np.zeros(3200), 16000
    ),
    "a clip's time": lambda data: os.utime(
        data / "audio" / "1-17-A-0.wav", ns=(1, 1)
    ),
    "the list": lambda data: (data / "meta" / "esc50.csv").write_text(
        "\n".join([HEADER, *ROWS[:2]])
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_makes_a_new_manifest(change, esc50, data, tmp_path):
    old, _ = esc50.prepare_esc50(data, tmp_path / "out", True)
    content = old.read_text()
    CHANGES[change](data)
    new, _ = esc50.prepare_esc50(data, tmp_path / "out", True)
    assert new != old and old.read_text() == content
    count = 2 if change == "the list" else 3
    assert len(json.loads(new.read_text())) == count


def test_moved_folder_has_the_same_manifest(esc50, data, tmp_path):
    old, _ = esc50.prepare_esc50(data, tmp_path / "out", True)
    data.rename(tmp_path / "moved")
    new, _ = esc50.prepare_esc50(tmp_path / "moved", tmp_path / "out", True)
    assert new == old


def test_audio_is_not_read_again(esc50, data, tmp_path, monkeypatch):
    first, _ = esc50.prepare_esc50(data, tmp_path / "out", True)
    monkeypatch.setattr(preparation, "check_audio", None)
    monkeypatch.chdir(tmp_path)
    again, _ = esc50.prepare_esc50("data", "out", True)
    assert again.resolve() == first


LISTS = {
    "empty": ("", ":1: column 'filename' is missing; found: none"),
    "no clips": (HEADER, ":1: no clips"),
    "missing column": (
        "file,fold,target,category\na.wav,1,0,dog",
        ":1: column 'filename' is missing; found: file, fold, target, category",
    ),
    "column twice": (
        HEADER + ",fold\n" + ROWS[0] + ",2",
        ":1: column 'fold' is there 2 times",
    ),
    "fold 6": (ROWS[0].replace(",1,", ",6,"), ":2: fold '6'"),
    "fold 1.0": (ROWS[0].replace(",1,", ",1.0,"), ":2: fold '1.0'"),
    "no fold": (ROWS[0].replace(",1,", ",,"), ":2: fold ''"),
    "target 50": (ROWS[0].replace(",0,", ",50,"), ":2: target '50'"),
    "target word": (ROWS[0].replace(",0,", ",dog,"), ":2: target 'dog'"),
    "other category": (
        ROWS[0].replace("dog", "cat"),
        ":2: category 'cat' is not the name of target 0, 'dog'",
    ),
    "listed twice": (
        "\n".join([*ROWS, ROWS[0]]),
        ":5: clip '1-17-A-0' is listed in line 2 already",
    ),
    "same id": (
        ROWS[0] + "\n" + ROWS[0].replace(".wav", ".flac"),
        ":3: clip '1-17-A-0' is listed in line 2 already",
    ),
    "leaves": ("../x.wav,1,0,dog,True,17,A", ":2: filename '../x.wav' leaves"),
    "absolute": ("/x.wav,1,0,dog,True,17,A", ":2: filename '/x.wav' leaves"),
    "no name": (",1,0,dog,True,17,A", ":2: filename '' is no file name"),
    "odd name": ("a\0.wav,1,0,dog,True,17,A", ":2: "),
    "few fields": ("a.wav,1,0", ":2: 3 fields where the header has 7"),
    "many fields": (ROWS[0] + ",x", ":2: 8 fields where the header has 7"),
    "open quote": (ROWS[0] + '"\n"' + ROWS[1], ":3: unexpected end of data"),
    "quoted lines": (
        'a.wav,1,0,dog,True,17,"A\n' + ROWS[1] + '"',
        ":2: a quoted field runs on",
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_list(case, esc50, data, tmp_path):
    text, expected = LISTS[case]
    if case not in ("empty", "no clips", "missing column", "column twice"):
        text = f"{HEADER}\n{text}"
    table = data / "meta" / "esc50.csv"
    table.write_text(text)
    with pytest.raises(ValueError) as error:
        esc50.prepare_esc50(data, tmp_path / "out", True)
    assert type(error.value) is DataError
    assert f"{table}{expected}" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_a_recording_in_two_folds_is_told(esc50, data, tmp_path, caplog):
    table = data / "meta" / "esc50.csv"
    moved = ROWS[1].replace(",1,", ",3,", 1)
    table.write_text("\n".join([HEADER, ROWS[0], moved]))
    esc50.prepare_esc50(data, tmp_path / "out", True)
    assert "recording '17' is in folds 1, 3" in caplog.text


def test_list_in_another_encoding(esc50):
    content = f"{HEADER}\n{ROWS[0]}\ncaf\xe9".encode("latin-1")
    with pytest.raises(
        ValueError, match="x.csv:3: byte 0xe9 is not UTF-8"
    ) as error:
        esc50.parse_clips(content, "x.csv")
    assert type(error.value) is DataError


def test_all_problems_of_the_list_together(esc50):
    text = f"{HEADER}\n{ROWS[0]}\na.wav,9,50,x,True,9,A\nb.wav,1\n{ROWS[0]}"
    with pytest.raises(ValueError) as error:
        esc50.parse_clips(text.encode(), "x.csv")
    first, *lines, remedy = str(error.value).splitlines()
    assert first == "Problems in the list of clips (4):"
    places = [line.split(": ")[0].strip() for line in lines]
    assert places == ["x.csv:3", "x.csv:3", "x.csv:4", "x.csv:5"]
    assert "again" in remedy


FIELDS = [
    st.sampled_from(["a.wav", "b.wav", "c.wav", "../d.wav", "", 'e".wav']),
    st.sampled_from(["1", "5", "6", "x", ""]),
    st.sampled_from(["0", "49", "50", "-1"]),
    st.sampled_from(["dog", "hand_saw", "cat", "d,og", "do\ng"]),
    st.sampled_from(["17", "18", ""]),
]
GOOD = st.builds(
    lambda i, fold, k: [f"{i}.wav", fold, *k, f"{fold}-{i}"],
    st.integers(0, 30),
    st.sampled_from("12345"),
    st.sampled_from([("0", "dog"), ("49", "hand_saw")]),
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(GOOD | st.tuples(*FIELDS), max_size=6))
def test_no_row_is_lost(parse, rows):
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["filename", "fold", "target", "category", "src_file"])
    writer.writerows(rows)
    try:
        clips = parse(stream.getvalue().encode(), "x.csv")
    except ValueError as error:
        assert type(error) is DataError and "x.csv:" in str(error)
    else:
        assert [c["wav"] for c in clips.values()] == [
            f"audio/{row[0]}" for row in rows
        ]


TEXT = st.text(alphabet=st.sampled_from("a1,\"'\r\n\0 \ufeff\u2028.wav/\\"))


@settings(max_examples=300, deadline=None)
@given(content=st.binary() | TEXT.map(lambda t: f"{HEADER}\n{t}".encode()))
def test_any_content_gives_clips_or_the_named_error(parse, content):
    try:
        assert parse(content, "x.csv")
    except ValueError as error:
        assert type(error) is DataError and "x.csv:" in str(error)


def test_all_bad_audio_together(esc50, data, tmp_path):
    (data / "audio" / "1-17-A-0.wav").unlink()
    (data / "audio" / "2-18-A-49.wav").write_bytes(b"")
    with pytest.raises(AudioError) as error:
        esc50.prepare_esc50(data, tmp_path / "out", True)
    assert "2 of 3" in str(error.value)
    assert "1-17-A-0.wav: No such file" in str(error.value)
    assert "2-18-A-49.wav: empty" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_partial_must_be_asked_for(esc50, data, tmp_path):
    with pytest.raises(ValueError) as error:
        esc50.prepare_esc50(data, tmp_path / "out")
    text = str(error.value)
    assert (
        "Found: 3 clips; 50 classes of 0 to 2; folds 1: 2, 2: 1, 3: 0" in text
    )
    assert "Expected: 2000 clips; 50 classes of 40 to 40" in text
    assert "--allow_partial True" in text


def test_partial_tells_the_counts(esc50, data, tmp_path, capsys):
    esc50.prepare_esc50(data, tmp_path / "out", True)
    said = capsys.readouterr().out
    assert "A part of ESC-50: 3 clips; classes dog: 2, hand_saw: 1" in said


def test_bad_audio_can_be_left_out(esc50, data, tmp_path, caplog):
    """The second time, the manifest is there."""
    bad = data / "audio" / "1-17-B-0.wav"
    bad.write_text("junk")
    plain = esc50.prepare_esc50
    with pytest.raises(AudioError, match="1 of 3 audio files"):
        plain(data, tmp_path / "out", True)
    for _ in range(2):
        caplog.clear()
        path, labels = plain(data, tmp_path / "out", True, skip_bad_audio=True)
        assert labels == esc50.LABELS
        assert list(json.loads(path.read_text())) == ["1-17-A-0", "2-18-A-49"]
        assert read_skipped(path) == ["1-17-B-0"]
        assert "1 of 3 clips of ESC50 cannot be read" in caplog.text
        assert "1-17-B-0" in caplog.text
    (listing,) = (tmp_path / "out").glob("*.bad_audio.txt")
    assert listing.read_text().startswith(f"1-17-B-0\t{bad}: not audio")


def test_only_bad_audio_is_an_error(esc50, data, tmp_path):
    for path in (data / "audio").iterdir():
        path.write_text("junk")
    with pytest.raises(AudioError, match="3 of 3 audio files"):
        esc50.prepare_esc50(data, tmp_path, True, skip_bad_audio=True)


def test_option_without_bad_audio_changes_nothing(esc50, data, tmp_path):
    plain, _ = esc50.prepare_esc50(data, tmp_path, True)
    path, _ = esc50.prepare_esc50(data, tmp_path, True, skip_bad_audio=True)
    assert path != plain and path.read_text() == plain.read_text()
    assert read_skipped(path) == []
    assert len(list(tmp_path.glob("*.json"))) == 2


def full_list(labels):
    """The rows of a list with the dataset's counts."""
    return [
        f"{fold}-{i}-A-{target}.wav,{fold},{target},{name},x,{fold}-{i},A"
        for fold in range(1, 6)
        for target, name in enumerate(labels)
        for i in range(8)
    ]


def test_full_counts(esc50, data, tmp_path, monkeypatch):
    rows = full_list(esc50.LABELS)
    table = data / "meta" / "esc50.csv"
    table.write_text("\n".join([HEADER, *rows]))
    monkeypatch.setattr(
        preparation,
        "check_audio",
        lambda paths, *_: [AudioFacts(5.0, "0" * 32)] * len(paths),
    )
    path, _ = esc50.prepare_esc50(data, tmp_path / "out")
    assert len(json.loads(path.read_text())) == 2000
    moved = rows[0].replace(".wav,1,", ".wav,2,").replace("1-0,A", "new,A")
    for wrong in (rows[1:], [moved, *rows[1:]]):
        table.write_text("\n".join([HEADER, *wrong]))
        with pytest.raises(ValueError, match="folds 1: 399"):
            esc50.prepare_esc50(data, tmp_path / "out")


@pytest.mark.parametrize("there", ["nothing", "empty folder", "file"])
def test_absent_dataset(there, esc50, tmp_path):
    folder = tmp_path / "data"
    if there == "empty folder":
        folder.mkdir()
    if there == "file":
        folder.write_text("")
    with pytest.raises(FileNotFoundError) as error:
        esc50.prepare_esc50(folder, tmp_path / "out")
    for part in (
        str(folder / "meta" / "esc50.csv"),
        "https://github.com/karolpiczak/ESC-50",
        "CC BY-NC",
        "audio/*.wav",
        "--data_folder DIR",
        "--download True",
        "petl_modules.miniatures",
    ):
        assert part in str(error.value)


def test_list_that_may_not_be_read(esc50, data, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError, match="esc50.csv: Permission denied"):
        esc50.prepare_esc50(data, tmp_path / "out", True)


def test_list_that_is_a_folder(esc50, tmp_path):
    (tmp_path / "data" / "meta" / "esc50.csv").mkdir(parents=True)
    with pytest.raises(ValueError, match="is a folder, not a file"):
        esc50.prepare_esc50(tmp_path / "data", tmp_path / "out", True)


def test_manifest_folder_that_cannot_be_written(
    esc50, data, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        esc50.prepare_esc50(data, tmp_path / "file" / "out", True)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "petl_modules.data.prepare.manifest.write_bytes", refuse
    )
    with pytest.raises(PermissionError, match="esc50-.*: Permission denied"):
        esc50.prepare_esc50(data, tmp_path / "out", True)


def test_audio_is_checked_once_by_processes_that_start_together(
    esc50, data, tmp_path, monkeypatch
):
    fork = multiprocessing.get_context("fork")
    checked, waiting = fork.Value("i"), fork.Event()

    class Logger:
        def warning(self, text):
            assert "waiting for process" in text
            waiting.set()

    def check(*args):
        checked.value += 1
        assert waiting.wait(60)
        return usual(*args)

    usual = preparation.check_audio
    monkeypatch.setattr(preparation, "check_audio", check)
    monkeypatch.setattr("petl_modules.utils.lock.logger", Logger())
    arguments = (data, tmp_path / "out", True)
    processes = [
        fork.Process(target=esc50.prepare_esc50, args=arguments)
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert checked.value == 1


def test_manifest_of_a_folder_that_is_read_only(
    esc50, data, tmp_path, monkeypatch
):
    esc50.prepare_esc50(data, tmp_path / "out", True)
    (tmp_path / "out" / ".lock").unlink()
    monkeypatch.setattr(preparation, "alone_in", None)
    esc50.prepare_esc50(data, tmp_path / "out", True)


def archive_of(data, path, top="ESC-50-master"):
    """Zip a data folder as GitHub does, and give the archive's address."""
    with zipfile.ZipFile(path, "w") as stream:
        for file in sorted(data.rglob("*")):
            stream.write(file, f"{top}/{file.relative_to(data).as_posix()}")
    return path.as_uri()


@pytest.mark.parametrize("exists", [False, True])
def test_download(exists, esc50, data, tmp_path):
    url = archive_of(data, tmp_path / "source.zip")
    folder = tmp_path / "new" / "my data"
    if exists:
        folder.mkdir(parents=True)
    path, _ = esc50.prepare_esc50(folder, tmp_path / "out", True, True, url)
    assert len(json.loads(path.read_text())) == 3
    assert list(folder.parent.iterdir()) == [folder]
    again, _ = esc50.prepare_esc50(folder, tmp_path / "out", True, True, "no")
    assert again == path


def test_download_never_overwrites(esc50, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="nothing is downloaded over it"):
        esc50.prepare_esc50(tmp_path / "mine", tmp_path / "out", True, True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_download_of_something_else(esc50, data, tmp_path):
    url = archive_of(data / "audio", tmp_path / "source.zip")
    with pytest.raises(ValueError, match="not in the archive from file:"):
        esc50.prepare_esc50(tmp_path / "new", tmp_path / "out", True, True, url)


def test_damaged_download_is_removed(esc50, tmp_path):
    (tmp_path / "source.zip").write_bytes(b"<html>")
    url = (tmp_path / "source.zip").as_uri()
    folder = tmp_path / "new" / "data"
    with pytest.raises(DownloadError, match="master.zip.* removed. Run"):
        esc50.prepare_esc50(folder, tmp_path / "out", True, True, url)
    assert not any(folder.parent.iterdir())


def test_archive_of_the_user_is_used_and_kept(esc50, data, tmp_path):
    archive = tmp_path / "ESC-50-master.zip"
    archive_of(data, archive)
    esc50.prepare_esc50(tmp_path / "new", tmp_path / "out", True, True, "no")
    assert archive.exists() and (tmp_path / "new" / "audio").is_dir()
