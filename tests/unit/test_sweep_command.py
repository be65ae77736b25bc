"""The command line of sweeps."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from petl_modules import sweep
from petl_modules.libraries import INTERRUPTED
from petl_modules.utils import read_csv

ROOT = Path(__file__).resolve().parents[2]
GRID = {"dataset": ["ESC50"], "method": ["lora"], "seed": [10, 11]}


@pytest.fixture
def write(tmp_path):
    """Writes a sweep file, with changes of its grid."""

    def written(**changes):
        file = tmp_path / "sweep.yaml"
        tree = {
            "grid": {**GRID, **changes},
            "set": {"all": {"number_of_epochs": 1, "device": "cpu"}},
            "output_folder": "out",
        }
        file.write_text(json.dumps(tree))
        return str(file)

    return written


def test_plan_shows_runs_and_cells(write, tmp_path, capsys):
    sweep.main(["plan", write(), "--miniature"])
    head, row, total, place = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "dataset",
        "encoder",
        "method",
        "runs",
        "cells",
        "done",
    ]
    assert row.split() == ["ESC50", "tiny-ast", "lora", "2", "4", "0"]
    assert total.split() == ["all", "2", "4", "0"]
    assert place.endswith(str(tmp_path / "out-miniature"))


def test_a_plan_writes_nothing(write, tmp_path):
    sweep.main(["plan", write(), "--miniature"])
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


@pytest.mark.parametrize("action", ["plan", "run"])
def test_a_mistake_ends_before_anything_runs(action, write, tmp_path):
    with pytest.raises(SystemExit, match="(?s)error: .*lorra.*lora"):
        sweep.main([action, write(method=["lorra"]), "--miniature"])
    assert not (tmp_path / "out-miniature").exists()


def test_there_is_nothing_to_gather(write, tmp_path):
    with pytest.raises(SystemExit, match="error: there is no .*out: nothing"):
        sweep.main(["gather", write()])
    (tmp_path / "out-miniature").mkdir()
    with pytest.raises(SystemExit, match="add --miniature"):
        sweep.main(["gather", write()])


def test_nothing_has_finished_yet(write, tmp_path):
    (tmp_path / "out-miniature").mkdir()
    sweep.main(["status", write(), "--miniature"])  # writes the record
    with pytest.raises(SystemExit, match="4 of 4 cells are not finished"):
        sweep.main(["gather", write(), "--miniature"])


def test_each_comparison_has_a_folder_of_its_own(write, tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(
        sweep,
        "show_comparison",
        lambda _, out, baseline, published: places.append(out),
    )
    (tmp_path / "out").mkdir()
    sweep.main(["gather", write()])
    (tmp_path / "out" / "comparison").mkdir()
    sweep.main(["gather", write()])
    names = [place.name for place in places]
    assert names == ["comparison", "comparison-2"]


@pytest.mark.whole
@pytest.mark.slow
def test_a_search_runs_its_trials(write, tmp_path, capsys):
    pytest.importorskip("optuna", reason="requirements-search.txt")
    file = Path(write(seed=[10]))
    tree = json.loads(file.read_text())
    tree["search"] = {"lr": {"low": 1e-4, "high": 0.1, "log": True}}
    tree["set"]["all"]["folds"] = "[1]"
    file.write_text(json.dumps(tree))
    for number in (1, 2):
        line = ["run", str(file), "--miniature", "--search", str(number)]
        sweep.main([*line, "--workers", "1"])
    capsys.readouterr()
    sweep.main(["status", str(file), "--miniature"])
    total = capsys.readouterr().out.splitlines()[-1].split()
    assert total == ["all", "2", "0", "0", "0"]
    out = tmp_path / "out-miniature"
    rows = read_csv(out / "sweep-search" / "trials.csv")
    for row in rows:
        name = f"ESC50/tiny-ast/lora-lr={row['lr']}/10/fold1/result.json"
        result = json.loads((out / name).read_text())
        assert float(row["validation"]) == result["fold"]["valid_accuracy"]
    sweep.main(["gather", str(file), "--miniature"])
    assert "docs/sweeps.md says how to go on" in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.slow
def test_a_grid_is_interrupted_and_goes_on(write, tmp_path):
    file = write(dataset=["ESC50", "GSC"], method=["linear", "lora"], seed=[10])
    words = [sys.executable, "-m", "petl_modules.sweep"]
    line = [*words, "run", file, "--miniature", "--workers", "2"]
    out = tmp_path / "out-miniature"
    first = subprocess.Popen(line, cwd=ROOT)
    while not [*out.rglob("result.json")] and first.poll() is None:
        time.sleep(0.5)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=120) == INTERRUPTED
    assert 0 < len([*out.rglob("result.json")]) < 6
    subprocess.run(line, cwd=ROOT, check=True)
    told = subprocess.run(
        [*words, "status", file, "--miniature"],
        **{"cwd": ROOT, "check": True, "capture_output": True, "text": True},
    )
    total = told.stdout.splitlines()[-1].split()
    assert total == ["all", "6", "0", "0", "0"]
    gather = [*words, "gather", file, "--miniature", "--baseline", "linear"]
    subprocess.run(gather, cwd=ROOT, check=True)
    rows = read_csv(out / "comparison" / "runs.csv")
    assert len(rows) == 6
    assert {row["method"] for row in rows} == {"linear", "lora"}
    assert (out / "comparison" / "comparison.html").is_file()
