"""Cells of a sweep: their states, and running them, with stand-in scripts."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_modules.sweeps import (
    BUSY,
    Cell,
    cell_run,
    run_cell,
    run_cells,
    status_text,
)
from petl_modules.sweeps.engines import local, printed
from petl_modules.sweeps.states import read_error, state_of, write_error
from petl_modules.sweeps.status import reason_of
from petl_modules.sweeps.time_left import TimeLeft
from petl_modules.utils import UserError, try_lock

FORK = multiprocessing.get_context("fork")  # without imports again
DOC = Path(__file__).resolve().parents[2] / "docs" / "sweeps.md"
# Each run leaves a line; then it does what the option ``act`` says
SCRIPT = """
import json, os, pathlib, sys, time
words = dict(zip(sys.argv[2::2], sys.argv[3::2]))
if "--prepare_only" in sys.argv:
    sys.exit(0)
folder = pathlib.Path(words["--output_folder"])
with open(folder.parent / "log", "a") as log:
    log.write(folder.name + "\\n")
act = words["--act"]
if act == "fail":
    print("out of luck")
    sys.exit(3)
if act == "interrupt":
    sys.exit(130)
if act == "die":
    os.kill(os.getpid(), 9)
if act == "wait":
    (folder / "started").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (folder / "ended").touch()
        sys.exit(130)
place = folder / "fold1"
place.mkdir(exist_ok=True)
text = json.dumps({"fold": {"seconds": 2.0}, "env": dict(os.environ)})
(place / "result.json").write_text(text)
"""


@pytest.fixture(autouse=True)
def not_stopped():
    cell_run.STOPPED.clear()
    yield
    cell_run.STOPPED.clear()


@pytest.fixture
def make(tmp_path):
    """Return a cell that does something."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")

    def cell(act="finish", name="run"):
        return Cell(
            *("ESC50", "ast", "lora", str(script), "lora.yaml"),
            {"act": act, "data_folder": "data"},
            *(str(tmp_path / name), str(tmp_path), 1),
        )

    return cell


def runs(folder):
    return (folder / "log").read_text().split()


def run_local(cells, workers=2):
    options = SimpleNamespace(workers=workers, per_gpu=1)
    return run_cells(cells, local, options)


def test_finished_cell_is_done_and_runs_once(make, tmp_path):
    cell = make()
    assert state_of(cell) == "waiting"
    assert [run_cell(cell), run_cell(cell)] == [0, 0]
    assert state_of(cell) == "done"
    assert runs(tmp_path) == ["run"]


def test_failed_cell_says_why_and_is_tried_again(make, tmp_path):
    cell = make("fail")
    assert run_cell(cell) == 3
    assert state_of(cell) == "failed"
    error = read_error(cell)
    assert (error["code"], error["lines"]) == (3, ["out of luck"])
    assert "out of luck" in status_text([cell])
    assert run_cell(make()) == 0
    assert state_of(cell) == "done"
    assert not (cell.place / "error.json").exists()


def test_killed_command_has_failed_and_says_so(make):
    assert run_cell(make("die")) == -signal.SIGKILL
    assert state_of(make()) == "failed"
    assert "ended by SIGKILL: nothing was printed" in status_text([make()])


def test_interrupted_command_waits_and_nothing_is_said_to_be_done(make, capsys):
    assert not run_local([make("interrupt")], workers=1)
    assert state_of(make()) == "waiting"
    assert "1 were interrupted, and wait" in capsys.readouterr().err


def test_failing_cell_does_not_stop_others(make, tmp_path, capsys):
    cells = [make("fail" if k == 1 else "finish", f"r{k}") for k in range(5)]
    assert not run_local(cells)
    states = [state_of(cell) for cell in cells]
    assert states == ["done", "failed", "done", "done", "done"]
    assert "1 failed" in capsys.readouterr().err


def hold(place, connection):
    with try_lock(place, ".cell.lock") as free:
        connection.send(free)
        connection.recv()


def test_cell_of_another_process_is_running(make):
    cell = make()
    cell.place.mkdir(parents=True)
    end, other_end = FORK.Pipe()
    other = FORK.Process(target=hold, args=(cell.place, other_end))
    other.start()
    assert end.recv() is True
    assert state_of(cell) == "running"
    assert run_cell(cell) == BUSY
    assert state_of(cell) == "running"  # asking has not released it
    other.kill()
    other.join()
    assert state_of(cell) == "waiting"
    assert run_cell(cell) == 0


def run_as_command(cells):
    # Tests that a shell has started by '&' ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(not run_local(cells))
    except KeyboardInterrupt:
        sys.exit(130)


def start_sweep(cells):
    """A sweep in a process of its own, which has all of its imports."""
    sweep = FORK.Process(target=run_as_command, args=(cells,))
    sweep.start()
    return sweep


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.03)
    pytest.fail("it did not happen")


def test_two_sweeps_at_once_run_each_cell_once(make, tmp_path):
    cells = [make(name=f"r{k}") for k in range(8)]
    both = [start_sweep(cells) for _ in range(2)]
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert sorted(runs(tmp_path)) == [f"r{k}" for k in range(8)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_sweep_leaves_no_command_and_goes_on(number, make, tmp_path):
    sweep = start_sweep([make("wait", f"r{k}") for k in range(3)])
    started = [tmp_path / f"r{k}" / "started" for k in (0, 1)]
    wait_for(lambda: all(file.exists() for file in started))
    os.kill(sweep.pid, number)
    sweep.join()
    cells = [make("finish", f"r{k}") for k in range(3)]
    wait_for(lambda: {state_of(cell) for cell in cells} == {"waiting"})
    if number == signal.SIGINT:
        assert sweep.exitcode == 130
        assert all(file.with_name("ended").exists() for file in started)
    assert sorted(runs(tmp_path)) == ["r0", "r1"]
    assert run_local(cells)
    assert {state_of(cell) for cell in cells} == {"done"}


def test_full_disk_while_an_error_is_written(make, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cell_run, "write_error", full)
    assert run_cell(make("fail")) == 3
    assert "No space left" in capsys.readouterr().err
    assert state_of(make("fail")) == "waiting"


def test_clock_set_back_makes_no_negative_time(make, monkeypatch):
    dates = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: next(dates))
    assert run_cell(make("fail")) == 3
    assert read_error(make("fail"))["seconds"] >= 0


@pytest.mark.parametrize("content", ["", "{", '{"folds": []}', "[]"])
def test_damaged_summary_is_written_again(content, make, tmp_path):
    """It stops no other cell."""
    cell = make()._replace(fold=None)
    cell.place.mkdir()
    (cell.place / "summary.json").write_text(content)
    assert state_of(cell) == "waiting"
    assert run_local([cell, make(name="other")])
    assert sorted(runs(tmp_path)) == ["other", "run"]


def test_stopped_while_a_command_starts(make, monkeypatch):
    """Below a shell that lets what it starts by '&' ignore Ctrl-C, too."""
    answers = iter([False])
    stopped = SimpleNamespace(is_set=lambda: next(answers, True))
    monkeypatch.setattr(cell_run, "STOPPED", stopped)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_cell(make("wait")) == cell_run.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    assert state_of(make("wait")) == "waiting"


def test_interrupted_while_workers_start(make, monkeypatch):
    class Thread(threading.Thread):
        started = 0

        def start(self):
            Thread.started += 1
            if Thread.started == 2:
                raise KeyboardInterrupt
            super().start()

    monkeypatch.setattr(local.threading, "Thread", Thread)
    cells = [make("wait", f"r{k}") for k in range(3)]
    for number, cell in enumerate(cells):
        cells[number] = cell._replace(preparation=str(number))
    with pytest.raises(KeyboardInterrupt):
        run_local(cells)
    assert not cell_run.RUNNING
    assert {state_of(cell) for cell in cells} == {"waiting"}


def test_workers_take_gpus_in_turn():
    shown = {"CUDA_VISIBLE_DEVICES": "2,GPU-a"}
    found = local.environments(None, 2, shown)
    devices = [one["CUDA_VISIBLE_DEVICES"] for one in found]
    assert devices == ["2", "GPU-a", "2", "GPU-a"]


def test_workers_share_cores(monkeypatch):
    monkeypatch.setattr(local, "_cores", lambda: 8)
    shown = {"CUDA_VISIBLE_DEVICES": "0,1"}
    threads = [e["OMP_NUM_THREADS"] for e in local.environments(2, 1, shown)]
    assert threads == ["4", "4"]
    shown["OMP_NUM_THREADS"] = "3"
    assert "OMP_NUM_THREADS" not in local.environments(2, 1, shown)[0]
    assert len(local.environments(None, 1, {"CUDA_VISIBLE_DEVICES": ""})) == 8


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0)])
def test_no_workers_are_refused(numbers):
    with pytest.raises(UserError, match="at least 1"):
        local.environments(*numbers, {})


def test_command_sees_its_worker_s_environment(make, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    cell = make()
    assert run_local([cell])
    about = json.loads((cell.place / "result.json").read_text())
    assert about["env"]["CUDA_VISIBLE_DEVICES"] == "7"


def test_printed_lines_run_in_a_shell(make, tmp_path):
    cell = make(name="a folder")
    (tmp_path / "a folder").mkdir()
    options = SimpleNamespace(commands=str(tmp_path / "lines.txt"))
    assert run_cells([cell], printed, options)
    subprocess.run(["sh", options.commands], check=True)
    assert state_of(cell) == "done"


def test_printed_lines_are_all_that_a_pipe_gets(make, tmp_path, capfd):
    cells = [make(name=f"run '{k}'") for k in range(3)]
    for cell in cells:
        cell.place.parent.mkdir()
    assert run_cells(cells, printed, SimpleNamespace(commands=None))
    lines = capfd.readouterr().out
    line = "tr '\\n' '\\0' | xargs -0 -n 1 -P 2 sh -c"  # as docs/sweeps.md
    assert line.replace("2", "4") in DOC.read_text("utf-8").replace("\\|", "|")
    subprocess.run(["sh", "-c", line], input=lines, text=True, check=True)
    assert {state_of(cell) for cell in cells} == {"done"}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [
                "epoch 1",
                "error: other settings:",
                "  lr: 1 there",
                "",
                "Move it",
            ],
            "exit code 3: other settings: lr: 1 there Move it",
        ),
        (
            ["Traceback", "no error: 1", "KeyError: 'a'", ""],
            "exit code 3: KeyError: 'a'",
        ),
        ([], "exit code 3: nothing was printed"),
    ],
)
def test_status_says_the_whole_error(lines, reason, make):
    cell = make(act="fail")
    write_error(cell, 3, lines)
    assert reason_of(cell) == reason


def test_line_break_in_a_folder_is_refused_in_print(make):
    """Otherwise a line of the commands would be half a command."""
    with pytest.raises(UserError, match="line breaks"):
        run_cells([make(name="a\nb")], printed, SimpleNamespace(commands=None))


def test_time_left_is_shared_by_what_runs(make):
    cells = [make(name=f"r{k}") for k in range(5)]
    now = [0]
    left = TimeLeft(cells, clock=lambda: now[0])
    left.known(cells[0].kind, 40)
    left.known(cells[0].kind, 20)  # 30 s each
    left.start(cells[0])
    left.start(cells[1])
    now[0] = 10  # 20 s of each of two, and three more: 130 s on two workers
    assert left.text() == "65 s"
    left.end(cells[1], 3)  # tells no time
    assert left.text() == "55 s"  # the other worker takes the next one
