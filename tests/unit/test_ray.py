"""Engine ``ray`` with a Ray of this machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from petl_modules.sweeps import cell_run, engines
from petl_modules.sweeps.states import FAILED, WAITING, state_of
from petl_modules.utils import UserError
from tests.cells import count_of, engine_options, make_cells, turns_of

pytest.importorskip("ray", reason="pip install -r requirements-ray.txt")
pytestmark = pytest.mark.whole
LONG = 300  # seconds that a test waits for what must come


@pytest.fixture(autouse=True)
def without_a_token(monkeypatch):
    """Leave no token in the user's home; these clusters live for a minute."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


def start(cells, *words):
    """Return the events of cells that the engine runs."""
    options = engine_options(engines.ray, None, *words)
    options.per_gpu = 2
    return engines.ray.run(cells, options)


def until(condition):
    """Wait for what must come."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def parent_of(process):
    """Return the number of a process's parent."""
    words = ["ps", "-o", "ppid=", "-p", str(process)]
    return int(subprocess.check_output(words, text=True))


def process_of(cell):
    """Return the number of the process that runs a cell's command; None: none."""
    words = ["pgrep", "--full", f"counts.py.*{cell.folder} "]
    found = subprocess.run(words, capture_output=True, text=True).stdout.split()
    return int(found[0]) if found else None


def test_failed_cell_does_not_stop_others(tmp_path):
    cells = make_cells(tmp_path, 3)
    cells[1] = cells[1]._replace(options={"to": "1", "says": "no"})
    events = [(cell.folder, code) for cell, code in start(cells)]
    expected = {cell.folder: 0 for cell in cells} | {cells[1].folder: 1}
    assert {folder: code for folder, code in events if code is not None} == (
        expected
    )
    assert [code for _, code in events].count(None) == 3
    assert state_of(cells[1]) == FAILED


def test_killed_worker_is_replaced(tmp_path):
    (cell,) = make_cells(tmp_path, to="100")
    killed = []

    def kill():
        until(lambda: (cell.place / "count.txt").exists())
        killed.append(process_of(cell))
        os.kill(parent_of(killed[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    events = [*start([cell])]
    killer.join()
    assert events[-1][1] == 0 and count_of(cell) == 100
    first, second = turns_of(cell)
    assert first == 0 and 0 < second < 100


def test_lost_cell_says_why(tmp_path):
    (cell,) = make_cells(tmp_path)
    cell = cell._replace(environment={1: 2})  # no process has such variables
    assert [*start([cell])][-1][1] == cell_run.UNFINISHED
    assert state_of(cell) == FAILED


def test_closing_stops_the_commands(tmp_path):
    cells = make_cells(tmp_path, 4, to="100000")
    events = start(cells)
    assert next(events)[1] is None
    until(lambda: process_of(cells[0]))
    events.close()
    assert not any(map(process_of, cells))
    assert {state_of(cell) for cell in cells} == {WAITING}


@pytest.fixture
def head(tmp_path):
    """A Ray cluster of one machine that pretends to have a GPU."""
    port = free_port()
    words = [f"--port={port}", "--num-gpus=1", "--num-cpus=2", "--block"]
    words += ["--include-dashboard=false", "--disable-usage-stats"]
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head"]
    with open(tmp_path / "head.txt", "w") as output:
        process = subprocess.Popen(
            [*ray, *words], stdout=output, stderr=output, start_new_session=True
        )
    until(lambda: "runtime started" in (tmp_path / "head.txt").read_text())
    yield f"127.0.0.1:{port}"
    process.terminate()  # its own processes alone, unlike ray stop
    process.wait()


def test_cells_share_a_gpu_of_a_cluster(head, tmp_path):
    cells = make_cells(tmp_path, 2, to="100")
    says = "'GPU', os.environ['CUDA_VISIBLE_DEVICES']"
    script = tmp_path / "counts.py"
    script.write_text(
        script.read_text().replace("number, flush", f"{says}, flush")
    )
    events = [code for _, code in start(cells, "--address", head)]
    assert events[:2] == [None, None]  # the second started beside the first
    outputs = [(cell.place / "output.txt").read_text() for cell in cells]
    assert outputs == ["from GPU 0\n"] * 2


def test_cell_that_no_machine_has_room_for(tmp_path):
    """Ray would wait for such a machine, without a word."""
    with pytest.raises(UserError, match="--cores is 9999: .* has [0-9]+$"):
        [*start(make_cells(tmp_path), "--cores", "9999")]


def test_cluster_that_is_not_there(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=f"'{address}': .*refused"):
        [*start(make_cells(tmp_path), "--address", address)]
