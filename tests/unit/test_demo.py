"""The demo's generated sounds and the job around them.

Authors
 * The PETL audio recipes team 2026
"""

import csv
import hashlib
import json
import shutil
import sys
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from petl_modules import demo, demo_corpus
from petl_modules.synthesis import CLASSES, SAMPLES, synthesize

FAKE_RECIPE = """\
import json, pathlib, sys
words = sys.argv[2:]
options = dict(zip(words[::2], words[1::2]))
folder = pathlib.Path(options["--output_folder"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "seen.json").write_text(json.dumps([sys.argv[1], options]))
if "fails" in folder.parts:
    sys.exit(3)
run = {"accuracy_mean": 0.8125, "accuracy_std": 0.025}
run.update(trainable_parameters=12345, folds=[{"seconds": 1.5}] * 5)
(folder / "summary.json").write_text(json.dumps(run))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "ESC-50-master"
    return demo.write_corpus(folder, takes=1)


@pytest.fixture
def own_corpus(corpus, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(corpus, tmp_path / "ESC-50-master")


def rows_of(corpus):
    with open(corpus / "meta" / "esc50.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def digest(samples):
    rounded = np.round(samples * 100).astype("<i2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]


def test_csv_is_pinned(corpus):
    text = (corpus / "meta" / "esc50.csv").read_bytes()
    assert hashlib.sha256(text).hexdigest()[:16] == "f023a482d4b3d411"


@pytest.mark.parametrize(
    "name, expected",
    [
        ("1-100001-A-0.wav", "53b8fc19c3054817"),
        ("5-100415-A-41.wav", "74435bc45e282ea3"),
    ],
)
def test_sounds_are_pinned(corpus, name, expected):
    samples, _ = soundfile.read(corpus / "audio" / name)
    assert digest(samples) == expected


def test_same_seed_same_bytes(corpus, tmp_path):
    again = demo.write_corpus(tmp_path / "again", takes=1)
    for path in sorted(corpus.rglob("*.*")):
        assert (
            path.read_bytes() == (again / path.relative_to(corpus)).read_bytes()
        ), path.name


def test_seed_and_take_change_the_sound():
    def clip(*key):
        rng = np.random.default_rng(np.random.SeedSequence(key))
        return digest(synthesize("rain", rng))

    assert len({clip(0, 10, 1, 0), clip(1, 10, 1, 0), clip(0, 10, 1, 1)}) == 3


def test_corpus_is_balanced(corpus):
    cells = Counter((row["fold"], row["category"]) for row in rows_of(corpus))
    assert len(cells) == 50 and set(cells.values()) == {1}


def test_names_agree_with_columns():
    for row in demo_corpus._rows(3):
        stem = "{fold}-{src_file}-{take}-{target}.wav".format(**row)
        assert row["filename"] == stem
        assert CLASSES[row["category"]][0] == row["target"]


def test_a_recording_is_in_one_fold_only():
    folds, kinds = defaultdict(set), defaultdict(set)
    for row in demo_corpus._rows(3):
        folds[row["src_file"]].add(row["fold"])
        kinds[row["src_file"]].add(row["target"])
    assert all(len(found) == 1 for found in folds.values())
    assert all(len(found) == 1 for found in kinds.values())


def test_audio_is_valid(corpus):
    for row in rows_of(corpus):
        path = corpus / "audio" / row["filename"]
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (44100, 1)
        assert info.subtype == "PCM_16"
        samples, _ = soundfile.read(path)
        assert len(samples) == SAMPLES == 5 * 44100
        assert 0.07 < np.abs(samples).max() <= 0.9001, path.name
        assert abs(samples.mean()) < 1e-4, path.name


def test_unknown_sound_names_the_choices():
    with pytest.raises(ValueError, match="'cat'.*dog, rooster"):
        synthesize("cat", np.random.default_rng(0))


@pytest.mark.parametrize("takes", [0, 27])
def test_takes_out_of_range(tmp_path, takes):
    with pytest.raises(ValueError, match=f"takes is {takes}"):
        demo.write_corpus(tmp_path / "new", takes=takes)


def test_complete_corpus_is_reused(own_corpus):
    before = {path: path.stat().st_mtime_ns for path in own_corpus.rglob("*")}
    demo.write_corpus(own_corpus, takes=1)
    after = {path: path.stat().st_mtime_ns for path in own_corpus.rglob("*")}
    assert after == before


def test_other_folder_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no readable generated.json"):
        demo.write_corpus(tmp_path, takes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_file_in_the_place_is_refused_and_kept(tmp_path):
    place = tmp_path / "place"
    place.write_text("mine")
    with pytest.raises(FileExistsError, match="place"):
        demo.write_corpus(place, takes=1)
    assert place.read_text() == "mine"


def test_other_seed_is_refused(own_corpus):
    with pytest.raises(FileExistsError, match="'seed': 0.*'seed': 1"):
        demo.write_corpus(own_corpus, seed=1, takes=1)


def test_damaged_corpus_is_refused(own_corpus):
    (own_corpus / "audio" / "1-100001-A-0.wav").unlink()
    (own_corpus / "audio" / "2-100002-A-0.wav").write_bytes(b"RIFF")
    (own_corpus / "meta" / "esc50.csv").write_text("filename\n")
    with pytest.raises(FileExistsError) as error:
        demo.write_corpus(own_corpus, takes=1)
    for name in ("1-100001-A-0.wav", "2-100002-A-0.wav", "esc50.csv"):
        assert name in str(error.value)


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_corpus, "write_json", stop)
    monkeypatch.setattr(demo_corpus, "CLASSES", {})
    with pytest.raises(KeyboardInterrupt):
        demo.write_corpus(tmp_path / "new", takes=1)
    assert list(tmp_path.iterdir()) == []


def test_comparison_aligns_its_columns():
    run = {"accuracy_std": 0.0123, "folds": [{"seconds": 2.6}] * 2}
    table = demo.comparison(
        {
            "linear": {**run, "accuracy_mean": 1, "trainable_parameters": 9},
            "soft_moa": {
                **run,
                "accuracy_mean": 0.05,
                "trainable_parameters": 1234567,
            },
        }
    ).split("\n")
    assert len({len(line) for line in table}) == 1
    cells = [[cell.strip() for cell in line.split("|")] for line in table]
    assert cells[2][1:-1] == ["linear", "100.0 ± 1.2", "9", "5"]
    assert cells[3][1:-1] == ["soft_moa", "5.0 ± 1.2", "1,234,567", "5"]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The demo with a recipe and a backbone that take no time."""
    root = tmp_path / "root"
    (root / demo.RECIPE).parent.mkdir(parents=True)
    (root / demo.RECIPE).write_text(FAKE_RECIPE)
    (root / "petl_modules").mkdir()
    (root / "petl_modules" / "__init__.py").touch()

    def write_tiny_ast(folder):
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(demo, "ROOT", root)
    monkeypatch.setattr(demo, "write_corpus", lambda folder: folder.mkdir())
    monkeypatch.setitem(
        sys.modules,
        "petl_modules.backbones",
        SimpleNamespace(write_tiny_ast=write_tiny_ast),
    )
    return tmp_path


def test_job_trains_both_methods_and_compares(job, capfd):
    folder = job / "run"
    folder.mkdir()
    demo.main(["--folder", str(folder)])
    shown = capfd.readouterr().out
    for method in ("linear", "soft_moa"):
        yaml, options = json.loads((folder / method / "seen.json").read_text())
        assert yaml == f"hparams/{method}.yaml"
        assert options == {
            "--data_folder": str(folder / "ESC-50-master"),
            "--backbone": str(folder / "tiny-ast"),
            "--output_folder": str(folder / method),
            "--allow_partial": "True",
            "--batch_size": "8",
            **{f"--{k}": str(v) for k, v in demo.RUNS[method].items()},
        }
    report = (folder / "comparison.md").read_text("utf-8")
    for text in (report, shown):
        assert "81.2 ± 2.5" in text and "12,345" in text
        assert "random" in text and "nothing about real audio" in text
    assert "hparams/lora.yaml" in shown and "--download True" in shown


def test_failing_recipe_is_named(job):
    folder = job / "fails"
    folder.mkdir()
    with pytest.raises(SystemExit, match="linear ended with code 3"):
        demo.main(["--folder", str(folder)])
    assert not (folder / "comparison.md").exists()


def test_backbone_that_is_none_is_refused(job, capsys):
    folder = job / "run"
    (folder / "tiny-ast").mkdir(parents=True)
    (folder / "tiny-ast" / "notes.txt").touch()
    with pytest.raises(SystemExit):
        demo.main(["--folder", str(folder)])
    assert "no config.json" in capsys.readouterr().err


def test_missing_recipes_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    with pytest.raises(SystemExit):
        demo.main([])
    assert "no recipe at" in capsys.readouterr().err
