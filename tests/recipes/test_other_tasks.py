"""A task without a recipe, recognition: from command line to summary."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from petl_modules.utils import read_csv
from tests.tasks import recognition

ROOT = Path(__file__).resolve().parents[2]
TASKS = {
    "recognition": (recognition, "uer"),
}


@pytest.fixture(scope="module")
def command(tiny_wav2vec2, tmp_path_factory):
    """Gives the command line of a task."""

    def words(task, folder, **changes):
        options = {
            "data_folder": tmp_path_factory.mktemp("tones"),
            "manifest_folder": folder,
            "output_folder": folder / "out",
            "backbone": tiny_wav2vec2["group"],
            "device": "cpu",
            **changes,
        }
        options = [f"--{key}={value}" for key, value in options.items()]
        return [f"hparams/{task}.yaml", *options, "--noprogressbar"]

    return words


@pytest.fixture(scope="module", params=TASKS)
def run(request, command, tmp_path_factory):
    """A task, its folder, its error rate's name and its summary."""
    folder = tmp_path_factory.mktemp(request.param)
    module, metric = TASKS[request.param]
    module.main(command(request.param, folder))
    summary = json.loads((folder / "out" / "summary.json").read_text())
    return request.param, folder / "out", metric, summary


def test_summary_has_the_fields_of_the_metric(run):
    _, _, metric, summary = run
    fold = summary["folds"][0]
    assert fold["epochs"] == 3
    assert 0 <= fold[f"test_{metric}"] == summary[f"{metric}_mean"]
    assert f"{metric}_std" not in summary  # one split
    assert fold[f"train_{metric}"] is None
    for name in (f"valid_{metric}", f"last_epoch_test_{metric}"):
        assert fold[name] >= 0
    assert not any("accuracy" in key for key in {**fold, **summary})


def test_epoch_of_the_lowest_error_rate_is_selected(run):
    _, folder, metric, summary = run
    log = (folder / "fold1" / "train_log.txt").read_text().splitlines()
    name = f"valid {metric}: "
    rates = [float(x.split(name)[1].split(",")[0]) for x in log if name in x]
    assert len(rates) == 3
    assert summary["folds"][0]["best_epoch"] == 1 + rates.index(min(rates))


def test_predictions_are_those_of_the_test_part(run):
    task, folder, _, _ = run
    rows = read_csv(folder / "fold1" / "predictions.csv")
    assert [row["id"] for row in rows] == [f"test{i}" for i in range(4)]
    assert set(rows[0]) == {"id", "text", "predicted"}
    assert not (folder / "confusion.csv").exists()


def test_table_shows_the_metric(run, command, capsys):
    task, folder, metric, _ = run
    TASKS[task][0].main(command(task, folder.parent))
    assert f"\n{metric} " in capsys.readouterr().out  # of the finished run


def test_interrupted_task_ends_the_same(run, command, tmp_path, capsys):
    """A kill within the second epoch."""
    task, *_ = run
    module, _ = TASKS[task]
    brain = getattr(module, f"{task.title()}Brain")
    usual, left = brain.on_fit_batch_end, [4]

    def dying(self, *arguments):
        usual(self, *arguments)
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    line = command(task, tmp_path, ckpt_interval_steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(brain, "on_fit_batch_end", dying)
        with pytest.raises(SystemExit, match="^130$"):
            module.main(line)
    assert "resuming" not in capsys.readouterr().out
    module.main(line)
    text = "resuming fold1 within epoch 2, after step 1\n"
    assert text in capsys.readouterr().out
    assert text in (tmp_path / "out" / "fold1" / "log.txt").read_text()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for key, value in run[3]["folds"][0].items():
        if "loss" not in key and key != "seconds":
            assert summary["folds"][0][key] == value, key


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_script_runs_from_the_command_line(task, command, tmp_path):
    script = ROOT / "tests" / "tasks" / f"{task}.py"
    run = subprocess.run(
        [sys.executable, script, *command(task, tmp_path)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert (tmp_path / "out" / "summary.json").is_file()
