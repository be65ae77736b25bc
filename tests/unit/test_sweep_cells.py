"""Cells of a sweep: their states, and running them, with stand-in scripts."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
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
from petl_modules.sweeps.states import read_error, state_of
from petl_modules.sweeps.time_left import TimeLeft
from petl_modules.utils import UserError

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


def test_failing_cell_does_not_stop_others(make, tmp_path, capsys):
    cells = [make("fail" if k == 1 else "finish", f"r{k}") for k in range(5)]
    assert not run_local(cells)
    states = [state_of(cell) for cell in cells]
    assert states == ["done", "failed", "done", "done", "done"]
    assert "1 failed" in capsys.readouterr().err


HOLD = """
import sys
from pathlib import Path
from petl_modules.utils import try_lock
with try_lock(Path(sys.argv[1]), ".cell.lock") as free:
    print(free, flush=True)
    sys.stdin.read()
"""


def test_cell_of_another_process_is_running(make, tmp_path):
    cell = make()
    cell.place.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, cell.place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"True\n"
        assert state_of(cell) == "running"
        assert run_cell(cell) == BUSY
        assert state_of(cell) == "running"  # asking has not released it
        other.kill()
        other.wait()
    assert state_of(cell) == "waiting"
    assert run_cell(cell) == 0


SWEEP = textwrap.dedent(
    """
    import signal, sys
    from types import SimpleNamespace
    from petl_modules.sweeps import Cell, run_cells
    from petl_modules.sweeps.engines import local
    script, folder, act, number = sys.argv[1:]
    cells = [
        Cell("ESC50", "ast", "lora", script, "lora.yaml",
             {"act": act, "data_folder": "data"}, f"{folder}/r{k}", folder, 1)
        for k in range(int(number))
    ]
    options = SimpleNamespace(workers=2, per_gpu=1)
    try:
        sys.exit(not run_cells(cells, local, options))
    except KeyboardInterrupt:
        sys.exit(130)
    """
)


def start_sweep(cell, folder, act, number):
    words = [cell.script, str(folder), act, str(number)]
    return subprocess.Popen([sys.executable, "-c", SWEEP, *words])


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.03)
    pytest.fail("it did not happen")


def test_two_sweeps_at_once_run_each_cell_once(make, tmp_path):
    both = [start_sweep(make(), tmp_path, "finish", 8) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert sorted(runs(tmp_path)) == [f"r{k}" for k in range(8)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_sweep_leaves_no_command_and_goes_on(number, make, tmp_path):
    sweep = start_sweep(make(), tmp_path, "wait", 3)
    started = [tmp_path / f"r{k}" / "started" for k in (0, 1)]
    wait_for(lambda: all(file.exists() for file in started))
    sweep.send_signal(number)
    code = sweep.wait()
    cells = [make("finish", f"r{k}") for k in range(3)]
    wait_for(lambda: {state_of(cell) for cell in cells} == {"waiting"})
    if number == signal.SIGINT:
        assert code == 130
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
    assert left.text() == f"{(20 + 90) / 60:.0f} min"
