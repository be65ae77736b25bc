"""Engine ``slurm`` with a Slurm of one node: turns, preemption, the queue.

Where Slurm is installed: ``apt-get install slurm-wlm``.
"""

import subprocess
import time
from types import SimpleNamespace

import pytest

from petl_modules.sweeps import engines
from petl_modules.sweeps.states import FAILED, RUNNING, WAITING, state_of
from tests.cells import count_of, engine_options, make_cells, turns_of
from tests.one_slurm import ABSENT, one_slurm

pytest.importorskip("submitit")
pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(bool(ABSENT), reason=ABSENT),
]
LONG = 300  # seconds that a test waits for what must come
slurm = engines.slurm


@pytest.fixture(scope="module")
def cluster():
    with one_slurm() as environment:
        yield environment


@pytest.fixture
def submit(cluster, tmp_path, monkeypatch):
    """Gives a function that runs cells by the engine."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm, "POLL", 2)
    sweep = SimpleNamespace(output_folder=str(tmp_path / "results"), slurm={})

    def submit(cells, *words):
        options = engine_options(slurm, sweep, *words)
        return [*slurm.run(cells, options)]

    yield submit
    subprocess.run(["scancel", "--user=root", "--signal=KILL"], check=True)


def until(condition):
    """Wait for what must come."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


def first_task():
    """Return the number of the first job that runs."""
    words = ["squeue", "--noheader", "--states=RUNNING", "--format=%A"]
    return subprocess.check_output(words, text=True).split()[0]


def test_cells_end(submit, tmp_path):
    good = make_cells(tmp_path, 3)
    bad = good[1]._replace(options={"to": "1", "says": "no"})
    events = submit([good[0], bad, good[2]], "--wait")
    ends = {cell.folder: code for cell, code in events if code is not None}
    assert ends == {good[0].folder: 0, bad.folder: 1, good[2].folder: 0}


def test_time_limit(submit, tmp_path, monkeypatch):
    monkeypatch.setattr(engines.slurm_options, "SHORTEST", 2)
    monkeypatch.setattr(engines.slurm_options, "WARNING", 10)
    (cell,) = make_cells(tmp_path, to="900")
    events = submit([cell], "--wait", "--slurm", "{time: 2}")
    turns = turns_of(cell)
    assert events[-1][1] == 0 and count_of(cell) == 900
    assert len(turns) > 1 and sorted({*turns}) == turns


@pytest.mark.parametrize("how", ["requeued", "preempted"])
def test_resumes_when(how, submit, tmp_path):
    (cell,) = make_cells(tmp_path, to="200")
    submit([cell])
    until(lambda: (cell.place / "count.txt").exists())
    if how == "requeued":
        subprocess.run(["scontrol", "requeue", first_task()], check=True)
    else:
        words = ["srun", "--partition=urgent", "--exclusive", "sleep", "1"]
        subprocess.run(words, check=True)
    assert state_of(cell) in (WAITING, RUNNING)
    events = submit([cell], "--wait")
    assert events[-1][1] == 0 and count_of(cell) == 200
    assert len(turns_of(cell)) == 2


def test_cancelled_cell_waits_and_is_submitted_again(submit, tmp_path, capsys):
    (cell,) = make_cells(tmp_path, to="60")
    submit([cell])
    until(lambda: (cell.place / "count.txt").exists())
    submit([cell])
    assert "1 cells are in the queue already" in capsys.readouterr().out
    subprocess.run(["scancel", first_task()], check=True)
    until(lambda: not slurm.queued())
    assert state_of(cell) == WAITING
    assert submit([cell], "--wait")[-1][1] == 0
    assert "ended without a result" in capsys.readouterr().out


def test_killed_job_has_failed(submit, tmp_path):
    (cell,) = make_cells(tmp_path, to="600")
    submit([cell])
    until(lambda: (cell.place / "count.txt").exists())
    words = ["scancel", "--signal=KILL", "--full", first_task()]
    subprocess.run(words, check=True)
    assert submit([cell], "--wait")[-1][1] not in (None, 0)
    assert state_of(cell) == FAILED
