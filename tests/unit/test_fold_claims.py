"""Processes that train folds of one run side by side."""

import contextlib
import json
import multiprocessing
import signal
import threading
from types import SimpleNamespace

import pytest

from petl_modules.runs import Experiment
from petl_modules.runs.command_line import HEAD
from petl_modules.runs.fold_claims import claim_folds
from petl_modules.runs.plan import Fold, Plan
from petl_modules.runs.run_data import check_data
from petl_modules.runs.run_folder import claim_folder
from petl_modules.utils import (
    HparamsError,
    alone_in,
    holder,
    unlock_folder,
    write_json,
)

FORK = multiprocessing.get_context("fork")
TEXT = f"# lora.yaml, {HEAD}\n\nlr: 0.1\n"
OTHER_TEXT = TEXT.replace("0.1", "0.2")
DATA = {"clips": 3, "data": "0" * 64, "processes": 1}
OTHER_DATA = {**DATA, "data": "1" * 64}


def plan_of(*numbers, draws=1, n_folds=3):
    """A plan without clips."""
    folds = [Fold(n, d, {}) for d in range(1, draws + 1) for n in numbers]
    return Plan(folds, n_folds, "three folds")


@contextlib.contextmanager
def elsewhere(call, *args):
    """Calls a function in another process, which then waits for the end."""
    end, other_end = FORK.Pipe()

    def act():
        call(*args)
        other_end.send(True)
        other_end.recv()

    process = FORK.Process(target=act)
    process.start()
    other_end.close()
    assert end.recv()
    yield process
    with contextlib.suppress(BrokenPipeError):  # killed
        end.send(True)
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)


@pytest.fixture
def claim(tmp_path):
    """Claims folds of a run, as one process does from start to training."""

    def claimed(*numbers, text=TEXT, data=DATA, **options):
        file = tmp_path / "hyperparams.yaml"
        claim_folder(file, text)
        with alone_in(tmp_path):
            check_data(tmp_path, data)
        plan = plan_of(*numbers, **options)
        return claim_folds(file, text, data, plan)

    yield claimed
    for fold in tmp_path.glob("fold*"):
        unlock_folder(fold)


def test_folds_of_a_run_have_a_process_each(claim):
    with elsewhere(claim, 1):
        assert claim(2) == ["fold2"]
        with elsewhere(claim, 3):
            assert claim(2) == ["fold2"]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, r"train the others with --folds \[2,3\]"),
        ({"draws": 2}, r"train the others with --folds \[2,3\]"),
        ({"n_folds": 1}, "name another --output_folder"),
    ],
)
def test_fold_of_another_process_is_named(options, remedy, claim, tmp_path):
    numbers = [1] if options == {"n_folds": 1} else [1, 2, 3]
    with elsewhere(claim, 1) as other:
        words = rf"fold1: process {other.pid} on .* since .*\nWait .* {remedy}"
        with pytest.raises(HparamsError, match=words):
            claim(*numbers, **options)
        assert not holder(tmp_path / "fold2")
        assert not (tmp_path / "fold2").exists()
    assert "fold1" in claim(*numbers, **options)


def test_folds_without_another_one_left(claim):
    with elsewhere(claim, 1, 2):
        with pytest.raises(HparamsError, match="(?s)fold1: .*fold2: .*--folds"):
            claim(1, 2)


@pytest.mark.parametrize("begun", [False, True])
def test_other_settings_name_the_sweep(begun, claim, tmp_path):
    if begun:
        write_json(tmp_path / "fold3" / "result.json", {})
        (tmp_path / "hyperparams.yaml").write_text(TEXT)
    with elsewhere(claim, 1) as other:
        with pytest.raises(
            HparamsError, match="other settings:\n  lr"
        ) as error:
            claim(2, text=OTHER_TEXT)
        text = str(error.value)
        assert f"fold1 by process {other.pid}" in text
        assert "move that one away" not in text
        assert "petl_modules.sweep" in text
        assert (tmp_path / "hyperparams.yaml").read_text() == TEXT
    if begun:
        with pytest.raises(HparamsError, match="move that one away. A sweep"):
            claim(2, text=OTHER_TEXT)
    else:  # nothing of it has come about
        assert claim(2, text=OTHER_TEXT) == ["fold2"]
        assert (tmp_path / "hyperparams.yaml").read_text() == OTHER_TEXT


def test_other_data_are_refused_while_a_fold_is_trained(claim, tmp_path):
    with elsewhere(claim, 1):
        with pytest.raises(HparamsError, match="other data or processes"):
            claim(2, data=OTHER_DATA)
    claim(2, data=OTHER_DATA)
    assert json.loads((tmp_path / "data.json").read_text()) == OTHER_DATA


def test_the_first_to_claim_a_fold_has_the_folder(claim, tmp_path):
    """Another process started later, and has read its data more slowly."""
    file = tmp_path / "hyperparams.yaml"
    claim_folder(file, TEXT)
    claim_folder(file, OTHER_TEXT)
    write_json(tmp_path / "data.json", OTHER_DATA)
    assert claim_folds(file, TEXT, DATA, plan_of(1)) == ["fold1"]
    assert file.read_text() == TEXT
    assert json.loads((tmp_path / "data.json").read_text()) == DATA

    def late():
        with pytest.raises(HparamsError, match="other settings:\n  lr"):
            claim_folds(file, OTHER_TEXT, OTHER_DATA, plan_of(2))

    with elsewhere(late):
        pass


def test_fold_that_was_finished_meanwhile_is_not_trained(claim, tmp_path):
    """Its process has written the result, and not yet unlocked the fold."""
    with elsewhere(claim, 1):
        write_json(tmp_path / "fold1" / "result.json", {})
        assert claim(1, 2) == ["fold2"]
    assert not holder(tmp_path / "fold1")


def test_what_another_process_writes_is_left_alone(claim, tmp_path):
    with elsewhere(claim, 1):
        (tmp_path / "fold2").mkdir()
        files = [tmp_path / f"fold{k}/.predictions.csv.8.tmp" for k in (1, 2)]
        for file in files:
            file.touch()
        claim(2)
        assert [file.exists() for file in files] == [True, False]


def test_kill_leaves_nothing_to_clear(claim, tmp_path):
    with elsewhere(claim, 1, 2) as other:
        other.kill()
        other.join()
        assert claim(1, 2, text=OTHER_TEXT) == ["fold1", "fold2"]


def test_without_locks_folds_are_taken(claim, monkeypatch):
    with elsewhere(claim, 1):
        monkeypatch.setenv("PETL_NO_LOCKS", "1")
        assert claim(1, 2) == ["fold1", "fold2"]


def result(number):
    """Content of a ``result.json``."""
    parts = ("train", "valid", "test", "last_epoch_test")
    fold = {"fold": number, "epochs": 2, "best_epoch": 1, "seconds": 1.5}
    fold |= {f"{part}_eer": number / 10 for part in parts}
    fold["weights_sha256"] = "0" * 64
    counts = ("total_parameters", "trainable_parameters", "petl_parameters")
    return {"fold": fold, **dict.fromkeys(counts, 10)}


def test_summary_has_all_folds_and_one_writer_at_a_time(tmp_path):
    together = FORK.Barrier(2)
    named = ("dataset", "backbone", "method", "seed")
    settings = dict.fromkeys(named, "x") | {"output_folder": str(tmp_path)}
    settings["best_metric"] = {"name": "eer", "mode": "min"}
    run = SimpleNamespace(
        settings=settings, folder=tmp_path, metric="eer", temporary=None
    )

    def report(folder, rows):
        with pytest.raises(threading.BrokenBarrierError):
            together.wait(1)

    def end(number):
        fold = tmp_path / f"fold{number}"
        write_json(fold / "result.json", result(number))
        Experiment.summarise(run, plan_of(number), report)

    processes = [FORK.Process(target=end, args=(n,)) for n in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [fold["fold"] for fold in summary["folds"]] == [1, 2]
    assert summary["eer_mean"] == pytest.approx(0.15)
