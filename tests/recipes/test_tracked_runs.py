"""Runs with a tracker: killed for real and resumed, and debug runs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import trackers

ROOT = Path(__file__).resolve().parents[2]
# Runs the recipe on the words behind it, and kills it at the second epoch's
# checkpoint: "before" it is saved, when the epoch is logged, or "after"
KILLED = """
import os, runpy, signal, sys
from petl_modules.training import SafeCheckpointer

usual, calls = SafeCheckpointer.save_and_keep_only, []
place = sys.argv[1]

def save(*args, **options):
    calls.append(1)
    if place == "before" and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    usual(*args, **options)
    if place == "after" and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

SafeCheckpointer.save_and_keep_only = save
sys.argv[:2] = ["recipes/ESC50/train.py"]
sys.path[0] = "recipes/ESC50"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def values(tmp_path, monkeypatch):
    """Gives what a tracker has of a fold."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    read = {
        "tensorboard": trackers.tensorboard_values,
        "wandb": trackers.wandb_values,
        "trackio": lambda _: trackers.trackio_values(
            tmp_path / "trackio" / "ESC50.db"
        ),
    }
    return lambda kind, fold: read[kind](fold)


@pytest.mark.whole
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", ["tensorboard", "wandb", "trackio"])
def test_a_killed_run_has_each_epoch_once(kind, place, words, values, tmp_path):
    pytest.importorskip(kind, reason=f"python -m pip install {kind}")
    options = {"number_of_epochs": 3, "folds": [1]}
    line = words("linear", output_folder=tmp_path, logger=kind, **options)
    script = [sys.executable, "-c", KILLED, place, *line]
    killed = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    script = [sys.executable, "recipes/ESC50/train.py", *line]
    subprocess.run(script, cwd=ROOT, check=True)
    fold = tmp_path / "fold1"
    found, expected = values(kind, fold), trackers.text_values(fold)
    found.pop("epoch"), expected.pop("epoch")
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [s for s, _ in points]
        # Text has two decimals
        assert [value for _, value in found[name]] == pytest.approx(
            [value for _, value in points], rel=5e-3
        )


def test_a_debug_run_is_not_tracked(esc50, words, tmp_path, monkeypatch):
    wandb = trackers.FakeModule()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    line = words("linear", output_folder=tmp_path, logger="wandb")
    esc50.main([*line, "--debug", "--debug_persistently"])
    assert not wandb.runs and not [*tmp_path.rglob("tracker.json")]


def test_another_tracker_is_no_other_run(esc50, words, tmp_path, monkeypatch):
    """It is told of the epochs that are trained with it."""
    wandb = trackers.FakeModule()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)

    def end(*_):
        raise KeyboardInterrupt

    line = words("linear", output_folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(esc50, "evaluate_last_and_best", end)
        with pytest.raises(SystemExit):
            esc50.main(line)
    esc50.main([*line, "--logger=wandb"])
    (run,) = wandb.runs
    assert [step for step, _ in run.told] == [None] and run.ended
