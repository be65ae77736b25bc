"""The job around the demo's runs."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from petl_modules import demo
from petl_modules.miniatures import trials

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
FAKE_PREDICT = """\
import sys
print("predicted", *sys.argv[1:])
"""


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
def job(tmp_path, monkeypatch, corpus):
    """The demo with a recipe and a classifier that take no time."""
    root = tmp_path / "root"
    recipe = root / "recipes" / "ESC50" / "train.py"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(FAKE_RECIPE)
    (root / "petl_modules").mkdir()
    (root / "petl_modules" / "__init__.py").touch()
    (root / "petl_modules" / "predict.py").write_text(FAKE_PREDICT)

    def write_miniature(dataset, folder):
        assert dataset == "ESC50"
        shutil.copytree(corpus, folder)

    monkeypatch.setattr(demo, "ROOT", root)
    monkeypatch.setattr(trials, "ROOT", root)
    monkeypatch.setattr(demo, "write_miniature", write_miniature)
    monkeypatch.setattr(demo, "STAMPS", tmp_path / "none")
    return tmp_path


def test_job_trains_compares_and_classifies(job, capfd):
    folder = job / "run"
    demo.main(["--folder", str(folder)])
    shown = capfd.readouterr().out
    for method in demo.METHODS:
        yaml, options = json.loads((folder / method / "seen.json").read_text())
        assert yaml == f"hparams/{method}.yaml"
        assert options["--data_folder"] == str(folder / "ESC-50-master")
        assert options["--backbone"].endswith("pretrained/tiny-ast")
        assert options["--folds"] == "[]"
        for key, value in trials.METHODS[method].items():
            assert options[f"--{key}"] == str(value)
    report = (folder / "comparison.md").read_text("utf-8")
    for text in (report, shown):
        assert "81.2 ± 2.5" in text and "12,345" in text
        assert "not how well they do on real audio" in text
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    wav = folder / "rooster.wav"
    assert f"predicted {folder / 'soft_moa'} {wav}" in shown and wav.is_file()
    assert "hparams/bottleneck.yaml" in shown and "--download True" in shown


def test_recordings_that_are_at_hand_are_classified(job, monkeypatch, capfd):
    found = job / "animals" / demo.RECORDED[0]
    found.parent.mkdir(parents=True)
    found.touch()
    monkeypatch.setattr(demo, "STAMPS", job / "animals")
    demo.main(["--folder", str(job / "run")])
    assert f"{job / 'run' / 'rooster.wav'} {found}\n" in capfd.readouterr().out


def test_failing_recipe_is_named(job):
    folder = job / "fails"
    with pytest.raises(SystemExit, match="linear ended with code 3"):
        demo.main(["--folder", str(folder)])
    assert not (folder / "comparison.md").exists()


def test_killed_demo_takes_its_training_along(job, monkeypatch):
    """As the child, a recipe that kills the demo and would go on."""
    recipe = job / "root" / "recipes" / "ESC50" / "train.py"
    recipe.write_text(
        "import os, signal, time\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(3)\n"
        f"open({str(job / 'went_on')!r}, 'w')\n"
    )
    usual = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="143"):
            demo.main(["--folder", str(job / "run")])
    finally:
        signal.signal(signal.SIGTERM, usual)
    time.sleep(4)
    assert not (job / "went_on").exists()


def test_failing_classifier_is_named(job):
    predict = job / "root" / "petl_modules" / "predict.py"
    predict.write_text("raise SystemExit(4)")
    with pytest.raises(SystemExit, match="predict ended with code 4"):
        demo.main(["--folder", str(job / "run")])


def test_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "ESC-50-master").mkdir()
    (tmp_path / "ESC-50-master" / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit):
        demo.main(["--folder", str(tmp_path)])
    assert "no folder of generated sounds" in capsys.readouterr().err


def test_missing_recipes_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    with pytest.raises(SystemExit):
        demo.main([])
    assert "no recipes in" in capsys.readouterr().err


def test_next_commands_name_what_is_there():
    commands = demo.next_commands(Path("results/demo"))
    for word in commands.split():
        if word.endswith(".py"):
            assert (demo.ROOT / word).is_file(), word
        if word.startswith("hparams/"):
            assert (demo.ROOT / "recipes" / "ESC50" / word).is_file(), word
