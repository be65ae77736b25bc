"""An interrupted run ends as one that was not."""

import errno
import itertools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from petl_modules.utils import SEAL, seal
from tests.kill_harness import Harness
from tests.sampling import sample

ROOT = Path(__file__).resolve().parents[2]
CHANGES = {
    "number_of_epochs": 2,
    "ckpt_interval_steps": 1,
    "grad_accumulation_factor": 1,
}


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def result_of(folder):
    result = json.loads((folder / "fold1" / "result.json").read_text())
    del result["fold"]["seconds"], result["facts"]["peak_memory_bytes"]
    return result


@pytest.fixture(scope="module")
def train(esc50, words):
    """Trains fold 1 in a folder; the process dies after some batches."""

    def trained(folder, file="conformer", die_after=None, **changes):
        line = words(file, output_folder=folder, **{**CHANGES, **changes})
        left = [die_after]
        usual = esc50.ESC50Brain.on_fit_batch_end

        def dying(brain, *args):
            usual(brain, *args)
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(esc50.ESC50Brain, "on_fit_batch_end", dying)
            try:
                esc50.main(line)
            except Killed:
                return None
        return result_of(folder)

    return trained


@pytest.fixture(scope="module")
def peaceful(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("peace") / "out")


# 30 training clips in batches of 8: 4 steps an epoch


@pytest.mark.parametrize("die_after", sample([0, 2, 3, 5], [3]))
def test_run_killed_in_any_step_ends_the_same(
    die_after, train, peaceful, tmp_path
):
    assert train(tmp_path, die_after=die_after) is None
    assert train(tmp_path) == peaceful


def test_run_killed_in_every_step_ends_the_same(train, peaceful, tmp_path):
    deaths = 0
    while (result := train(tmp_path, die_after=1)) is None:
        deaths += 1
    assert deaths >= 4
    assert result == peaceful


def test_checkpoints_within_an_epoch_change_nothing(train, peaceful, tmp_path):
    assert train(tmp_path, ckpt_interval_steps=0) == peaceful


@pytest.mark.parametrize("workers", sample([1, 2], [2]))
def test_number_of_workers_changes_nothing(workers, train, peaceful, tmp_path):
    assert train(tmp_path, num_workers=workers) == peaceful


DAY = 86400


CLOCKS = [[DAY, 0], [0, -DAY], [-99 * 365 * DAY, DAY], [DAY, -DAY, 0]]


@pytest.mark.parametrize("offsets", sample(CLOCKS, CLOCKS[1:2]))
def test_a_clock_that_jumps_changes_nothing(
    offsets, train, peaceful, tmp_path, monkeypatch
):
    """Each start of the run has another clock, and dies after two batches."""
    usual = time.time
    for offset in offsets[:-1]:
        monkeypatch.setattr(time, "time", lambda o=offset: usual() + o)
        assert train(tmp_path, die_after=2) is None
    monkeypatch.setattr(time, "time", lambda: usual() + offsets[-1])
    assert train(tmp_path) == peaceful


def test_a_clock_set_back_within_a_run_changes_nothing(
    train, peaceful, tmp_path, monkeypatch
):
    """The clock goes back by a day at each of its readings."""
    usual, days = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: usual() - DAY * next(days))
    assert train(tmp_path, die_after=5) is None
    assert train(tmp_path) == peaceful


@pytest.mark.whole
def test_gathering_gradients_outlive_a_kill(train, tmp_path):
    changes = {"grad_accumulation_factor": 2, "batch_size": 4}
    expected = train(tmp_path / "peace", **changes)
    assert train(tmp_path / "killed", die_after=4, **changes) is None
    assert train(tmp_path / "killed", **changes) == expected


@pytest.mark.whole
def test_fixed_epochs_and_gathering_end_the_same(train, tmp_path):
    """4 steps an epoch, of which 3 make an update."""
    changes = {"fixed_epochs": True, "grad_accumulation_factor": 3}
    expected = train(tmp_path / "peace", **changes)
    assert train(tmp_path / "killed", die_after=6, **changes) is None
    assert train(tmp_path / "killed", **changes) == expected


@pytest.mark.parametrize(
    "file", sample(["full_finetuning", "soft_moa"], ["soft_moa"])
)
def test_other_methods_end_the_same(file, train, tmp_path):
    expected = train(tmp_path / "peace", file)
    assert train(tmp_path / "killed", file, die_after=5) is None
    assert train(tmp_path / "killed", file) == expected


@pytest.mark.whole
def test_learning_rates_by_part_end_the_same(train, tmp_path):
    changes = {
        "lr_by_part": "{head: 0.01, adapters: 1e-3}",
        "hidden_states": "weighted",
    }
    expected = train(tmp_path / "peace", "bottleneck", **changes)
    file = tmp_path / "killed"
    assert train(file, "bottleneck", die_after=5, **changes) is None
    assert train(file, "bottleneck", **changes) == expected
    log = (file / "fold1" / "train_log.txt").read_text()
    assert re.search(
        r"epoch: 1, lr_head: 5.00e-03, lr_layers: 2.50e-03, "
        r"lr_adapters: 5.00e-04, lr_norms: 2.50e-03 - ",
        log,
    )


@pytest.mark.whole
def test_mixup_ends_the_same(train, tmp_path):
    """Mixed clips, dropout and prompts, in this process and in a worker."""
    changes = {"mixup": 0.7, "reduction": 6, "frames": 100}
    expected = train(tmp_path / "peace", "ipet", **changes)
    assert train(tmp_path / "killed", "ipet", die_after=5, **changes) is None
    changes["num_workers"] = 1
    assert train(tmp_path / "killed", "ipet", **changes) == expected


# Checkpoints that were damaged


@pytest.fixture
def begun(train, tmp_path):
    """A run that was killed in the middle of its second epoch."""
    assert train(tmp_path, die_after=6) is None
    return tmp_path


def newest(folder):
    return max((folder / "fold1" / "save").glob("CKPT*"), key=os.path.getmtime)


FILES = ["model.ckpt", "CKPT.yaml", SEAL]
DAMAGES = ["flip", "remove", "cut"]


@pytest.mark.parametrize(
    ("name", "damage"),
    sample([*itertools.product(FILES, DAMAGES)], [*zip(FILES, DAMAGES)]),
)
def test_damaged_checkpoint_is_left_out(
    name, damage, begun, train, peaceful, capfd
):
    file = newest(begun) / name
    content = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    else:
        if damage == "flip":
            content[len(content) // 2] ^= 1
        kept = len(content) // 2 if damage == "cut" else None
        file.write_bytes(content[:kept])
    assert train(begun) == peaceful
    if (name, damage) != ("CKPT.yaml", "remove"):
        log = (begun / "fold1" / "log.txt").read_text()
        assert "is damaged and left out" in log


def test_a_lost_best_epoch_is_no_other_epoch(
    esc50, words, tmp_path, monkeypatch
):
    """Epoch 1 is the best, and its checkpoint is cut before the test."""
    usual = esc50.epoch_meta
    accuracies = iter([0.9, 0.1, 0.1, 0.1])

    def made_up(brain, epoch, valid_stats, best_metric):
        stats = {**valid_stats, "accuracy": next(accuracies)}
        return usual(brain, epoch, stats, best_metric)

    def die(brain, test_set):
        raise Killed

    line = words("linear", output_folder=tmp_path, number_of_epochs=4)
    with monkeypatch.context() as patch:
        patch.setattr(esc50, "epoch_meta", made_up)
        patch.setattr(esc50, "evaluate_last_and_best", die)
        with pytest.raises(Killed):
            esc50.main(line)
    for file in tmp_path.glob("fold1/save/CKPT*/model.ckpt"):
        if "\nepoch: 1\n" in (file.parent / "CKPT.yaml").read_text():
            file.write_bytes(b"")
    with pytest.raises(SystemExit, match="best epoch in .*fold1 was damaged"):
        esc50.main(line)


def test_without_any_sound_checkpoint_the_fold_starts_again(
    begun, train, peaceful
):
    for file in begun.glob("fold1/save/*/model.ckpt"):
        file.write_bytes(file.read_bytes()[:-1])
    assert train(begun) == peaceful


# Faults of the file system: each operation of a run fails once


FAULTS = ["replace", "rename", "fsync", "mkdir", "unlink"]
PLACES = [2, 5, 8]


@pytest.mark.parametrize(
    ("name", "place"),
    sample([*itertools.product(FAULTS, PLACES)], [*zip(FAULTS, 2 * PLACES)]),
)
def test_failed_file_operation_loses_nothing(
    name, place, train, peaceful, tmp_path
):
    usual, left = getattr(os, name), [place]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, failing)
        try:
            result = train(tmp_path)
        except (SystemExit, OSError):
            result = None
    assert left[0] <= 0  # the operation came up
    if result is not None:
        assert result == peaceful
    assert train(tmp_path) == peaceful


@pytest.mark.parametrize("place", sample([1, 4, 8, 12], [4, 12]))
def test_full_disk_loses_nothing(place, train, peaceful, tmp_path):
    """The n-th file that is opened for writing cannot be written."""
    usual, left = open, [place]

    def full(file, mode="r", *args, **kwargs):
        if set(mode) & set("wax+"):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return usual(file, mode, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.open", full)
        try:
            train(tmp_path)
        except (SystemExit, OSError, RuntimeError):
            pass
    assert left[0] <= 0
    assert train(tmp_path) == peaceful


def test_finished_fold_with_a_damaged_file_is_not_kept(
    train, peaceful, tmp_path
):
    train(tmp_path)
    file = tmp_path / "fold1" / "predictions.csv"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(SystemExit, match=f"Delete {tmp_path}/fold1, and"):
        train(tmp_path)
    assert file.exists()
    shutil.rmtree(tmp_path / "fold1")
    assert train(tmp_path) == peaceful


# Real kills


@pytest.mark.whole
@pytest.mark.slow
def test_kills(tmp_path):
    """One after some time, one at a change of a file; the clock jumps."""
    harness = Harness(tmp_path, "conformer")
    harness.options["number_of_epochs"] = 2
    expected = harness.finish("peace")
    result, done = harness.interrupted(seed=1, kills=2, seconds=8)
    assert done and result == expected


# Processes that share a folder


def test_fold_of_another_process_is_refused(esc50, words, start, tmp_path):
    esc50.main(words("linear", output_folder=tmp_path, folds=[2]))
    (tmp_path / "fold1").mkdir()
    first = start(
        "-c",
        "import fcntl, os, time\n"
        f"file = open({str(tmp_path / 'fold1' / '.lock')!r}, 'w')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print(f'process {os.getpid()} on here', end='', file=file, flush=True)\n"
        "print('locked', flush=True)\n"
        "time.sleep(600)",
    )
    assert first.stdout.readline() == "locked\n"
    line = words("linear", output_folder=tmp_path)
    other = rf"in use by other.*\n  fold1: process {first.pid} on .*\n.*--folds"
    with pytest.raises(SystemExit, match=other):
        esc50.main(line)
    first.send_signal(signal.SIGKILL)
    first.wait()
    esc50.main(line)  # nothing has to be cleared
    folds = json.loads((tmp_path / "summary.json").read_text())["folds"]
    assert [fold["fold"] for fold in folds] == [1, 2]


@pytest.mark.whole
@pytest.mark.slow
def test_folds_side_by_side_are_those_of_one_run(tmp_path):
    """One process is killed, and its fold is begun again beside the other."""
    harness = Harness(tmp_path, "conformer")
    expected = harness.finish("alone")
    harness.options["folds"] = "[1]"
    killed = harness.start("together", kill_at_change=60)
    harness.options["folds"] = "[2]"
    second = harness.start("together")
    killed.wait()
    harness.options["folds"] = "[1]"
    first = harness.start("together")
    ends = [(p.communicate()[1], p.returncode) for p in (first, second)]
    assert [code for _, code in ends] == [0, 0], ends
    assert killed.returncode == -signal.SIGKILL
    assert harness.result("together") == expected


def test_other_data_are_refused(esc50, words, corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    line = words("linear", output_folder=tmp_path / "out", data_folder=data)
    esc50.main(line)
    table = data / "meta" / "esc50.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(SystemExit, match="other data or processes:\n.*clips"):
        esc50.main([*line[:1], *[w for w in line[1:] if "folds" not in w]])


def test_data_may_move(esc50, words, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    esc50.main(words("linear", output_folder=out))
    moved = shutil.copytree(corpus, tmp_path / "moved")
    line = words("linear", output_folder=out, data_folder=moved, folds=[1, 2])
    esc50.main(line)
    assert "fold1 is finished already" in capsys.readouterr().out
    assert (out / "fold2" / "result.json").is_file()


def test_another_number_of_processes_is_refused(
    esc50, words, tmp_path, monkeypatch
):
    line = words("linear", output_folder=tmp_path)
    esc50.main(line)
    file = tmp_path / "data.json"
    file.write_text(
        file.read_text().replace('"processes": 1', '"processes": 2')
    )
    with pytest.raises(SystemExit, match="processes: 2 there, 1 now"):
        esc50.main(line)


def test_a_kill_leaves_the_lock_free(tmp_path):
    code = (
        "import pathlib, os, signal\n"
        "from petl_modules.utils import lock_folder\n"
        f"lock_folder(pathlib.Path({str(tmp_path)!r}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert run.returncode == -signal.SIGKILL


class Malice:
    """Runs code where it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_a_checkpoint_cannot_run_code(begun, train):
    folder = newest(begun)
    torch.save(Malice(begun / "ran"), folder / "optimizer.ckpt")
    seal(folder, {file.name for file in folder.iterdir()} - {SEAL})
    with pytest.raises(pickle.UnpicklingError):
        train(begun)
    assert not (begun / "ran").exists()
