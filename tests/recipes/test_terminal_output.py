"""What a run shows: a handful of lines, a line an epoch, the table."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "recipes" / "ESC50" / "train.py"


@pytest.fixture(scope="module")
def run(words, tmp_path_factory):
    """A run of two epochs as a process of its own, and its folder."""
    folder = tmp_path_factory.mktemp("shown")
    command = words("lora", output_folder=folder, number_of_epochs=2)
    command.remove("--noprogressbar")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done, folder


def test_lines_of_a_run(run):
    done, folder = run
    before, *_, table = done.stdout.partition("ESC50, lora on")
    first, *rest = before.splitlines()
    assert first == (
        "A part of ESC-50: 50 clips; classes " + first.partition("classes ")[2]
    )
    plan, fold, *stages = rest
    assert plan == "50 clips; 5 folds: test k, validation k - 1, train 3"
    assert fold.startswith("fold1: clips (train: 30, valid: 10, test: 10); tr")
    assert str(folder / "fold1" / "log.txt") in fold
    epochs = [line for line in stages if line.startswith("epoch: ")]
    assert (
        epochs == stages and 3 <= len(stages) <= 4
    )  # two, and one or two tests
    assert [line[:8] for line in epochs[:2]] == ["epoch: 1", "epoch: 2"]
    assert "summary and predictions" in table


def test_nothing_else_is_shown(run):
    done, _ = run
    assert "torchvision" not in done.stdout + done.stderr
    assert "\r" not in done.stderr and "it/s" not in done.stderr  # no terminal


def test_all_else_is_in_the_log(run):
    log = (run[1] / "fold1" / "log.txt").read_text()
    assert "Saved a checkpoint in" in log and "Using training precision" in log
    assert "epoch: 2" in log
    assert "50 clips; 5 folds" in (run[1] / "log.txt").read_text()
