"""Engine ``slurm`` with programs that stand in for those of Slurm.

``sbatch`` keeps the script that it gets, and ``squeue`` prints a file.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_modules.sweeps import cell_run, engines
from petl_modules.sweeps.engines import slurm_job
from petl_modules.sweeps.engines.slurm_options import minutes_of, sbatch_options
from petl_modules.sweeps.states import (
    FAILED,
    WAITING,
    read_error,
    state_of,
    write_error,
)
from petl_modules.utils import HparamsError, UserError
from tests.cells import engine_options, make_cells

submitit = pytest.importorskip("submitit")
slurm = engines.slurm
MAIN = threading.main_thread().ident
SBATCH = """\
#!/bin/sh
[ -e {folder}/refuse ] && {{ echo "sbatch: error: invalid partition" >&2; exit 1; }}
number=$(ls {folder}/scripts | wc -l)
cp "$1" {folder}/scripts/$number.sh
echo "Submitted batch job $number"
"""
SQUEUE = """\
#!/bin/sh
[ -e {folder}/deaf ] && {{ echo "slurm_load_jobs error" >&2; exit 1; }}
cat {folder}/queue
"""


@pytest.fixture
def system(tmp_path, monkeypatch):
    """The folder of the programs that stand in for Slurm's."""
    folder = tmp_path / "system"
    (folder / "scripts").mkdir(parents=True)
    (folder / "queue").touch()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("srun", "")):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr(slurm, "POLL", 0)
    return folder


@pytest.fixture
def submit(system, tmp_path):
    """Gives a function that runs cells by the engine."""

    def submit(cells, *words, **given):
        results = str(tmp_path / "results")
        sweep = SimpleNamespace(output_folder=results, slurm=given)
        return [*slurm.run(cells, engine_options(slurm, sweep, *words))]

    return submit


def options_of(script):
    """Return the options of sbatch in a script."""
    lines = script.read_text().splitlines()
    words = [line.partition(" --")[2] for line in lines if "#SBATCH" in line]
    pairs = [word.partition("=") for word in words]
    return {key: value for key, _, value in pairs}


def arrays_of(system):
    """Return the options of all arrays that were submitted."""
    scripts = sorted((system / "scripts").iterdir(), key=lambda p: int(p.stem))
    return [options_of(script) for script in scripts]


def queue(system, name, *indices):
    """Let tasks of an array be in the queue."""
    lines = [f"{index}|{name}\n" for index in indices]
    (system / "queue").write_text("".join(["4|another\n", *lines]))


# What is submitted


def test_script(submit, system, tmp_path):
    given = {"mem-per-cpu": "4G", "cpus_per_task": 2, "time": "1-0"}
    events = submit(
        make_cells(tmp_path, 3),
        *("--partition", "gpu", "--array_parallelism", "2"),
        *("--slurm", "{gres: gpu:1, exclusive: True, time: 90}"),
        **given,
    )
    (options,) = arrays_of(system)
    logs = Path(options.pop("output"))
    assert logs.parent.parent == tmp_path / "results" / "slurm"
    assert Path(options.pop("error")).parent == logs.parent
    assert options.pop("job-name") == logs.parent.name
    assert events == [] and options == {
        **{"array": "0-2%2", "cpus-per-task": "2", "exclusive": ""},
        **{"gres": "gpu:1", "mem-per-cpu": "4G", "nodes": "1"},
        **{"open-mode": "append", "partition": "gpu", "requeue": ""},
        **{"signal": "USR2@90", "time": "90", "wckey": "submitit"},
    }


def test_script_starts_this_python(submit, system, tmp_path):
    submit(make_cells(tmp_path))
    *_, command = (system / "scripts" / "0.sh").read_text().split("srun ")
    assert f'exec "$0" "$@"\' {sys.executable} -u -m submitit' in command


def test_shell_of_the_script_accepts_it(submit, system, tmp_path):
    submit(make_cells(tmp_path, 2), "--slurm", '{comment: "it\'s $HOME"}')
    words = ["bash", "-n", system / "scripts" / "0.sh"]
    assert subprocess.run(words).returncode == 0


def test_many_cells_are_several_arrays(submit, system, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "LARGEST", 4)
    submit(make_cells(tmp_path, 9), "--array_parallelism", "6")
    arrays = [options.get("array") for options in arrays_of(system)]
    assert arrays == ["0-3%2", "0-3%2", None]


@pytest.mark.parametrize(
    "given, text",
    [
        ({"array": "0-3"}, "array is not for here"),
        ({"n": 2}, "no long option"),
        ({"mem": [1]}, "give a text or number"),
        ({"time": "soon"}, "time is 'soon'"),
        ({"time": 4}, "at least 5 minutes"),
        ({"time": True}, "time is 'True'"),
    ],
)
def test_option_that_cannot_be(given, text):
    with pytest.raises(HparamsError, match=text):
        sbatch_options(given)


@pytest.mark.parametrize("time", ["0:0:0:0", "", "1-", "-5", "1:2:3:4", 1.5])
def test_time_that_cannot_be(time):
    with pytest.raises(HparamsError, match="give minutes"):
        minutes_of(time)


@pytest.mark.parametrize(
    "words", [["--array_parallelism", "0"], ["--slurm", "[]"]]
)
def test_words_that_cannot_be(words, submit, tmp_path):
    with pytest.raises(UserError, match=words[0]):
        submit(make_cells(tmp_path), *words)


def test_refusal_is_shown_and_leaves_nothing(submit, system, tmp_path):
    (system / "refuse").touch()
    with pytest.raises(UserError, match="refused 2 cells.*invalid partition"):
        submit(make_cells(tmp_path, 2))
    assert not [*(tmp_path / "results" / "slurm").glob("petl-*")]


def test_machine_without_slurm(submit, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="login node"):
        submit(make_cells(tmp_path))


def test_queue_that_does_not_answer(submit, system, tmp_path):
    (system / "deaf").touch()
    with pytest.raises(UserError, match="squeue has failed: slurm_load_jobs"):
        submit(make_cells(tmp_path))
    assert not arrays_of(system)


# What is in the queue


def test_queued_cells_are_not_submitted_again(submit, system, tmp_path, capsys):
    cells = make_cells(tmp_path, 4)
    submit(cells)
    name = arrays_of(system)[0]["job-name"]
    queue(system, name, 0, 2)
    submit(cells)
    listed = Path(arrays_of(system)[1]["output"]).with_name("cells.json")
    again = json.loads(listed.read_text())["cells"]
    assert again == [str(cells[1].place), str(cells[3].place)]
    text = capsys.readouterr().out
    assert "2 cells are in the queue already" in text
    assert "2 cells were in the queue before" in text


def test_all_queued(submit, system, tmp_path):
    cells = make_cells(tmp_path, 2)
    submit(cells)
    queue(system, arrays_of(system)[0]["job-name"], 0, 1)
    submit(cells)
    assert len(arrays_of(system)) == 1
    assert {state_of(cell) for cell in cells} == {WAITING}


def test_a_job_without_an_array_is_known(submit, system, tmp_path):
    cells = make_cells(tmp_path)
    submit(cells)
    queue(system, arrays_of(system)[0]["job-name"], "N/A")
    submit(cells)
    assert len(arrays_of(system)) == 1


# Waiting


def test_wait_tells_what_became_of_cells(submit, system, tmp_path, monkeypatch):
    done, failed, lost = cells = make_cells(tmp_path, 3)
    rounds = []

    def squeue():
        rounds.append(1)
        if len(rounds) == 2:  # in the first one all are in the queue
            finish(done)
            write_error(failed, 3, ["no"])
        if len(rounds) == 1:
            write_error(failed, 9, ["of an earlier try"])
        (name,) = {options["job-name"] for options in arrays_of(system)} or {""}
        return {(name, i) for i in range(3)} if len(rounds) < 3 else set()

    monkeypatch.setattr(slurm, "queued", squeue)
    events = submit(cells, "--wait")
    assert {cell.folder: code for cell, code in events} == {
        done.folder: 0,
        failed.folder: 3,
        lost.folder: cell_run.UNFINISHED,
    }
    assert "ended without a result" in read_error(lost)["lines"][-1]
    assert state_of(lost) == FAILED


def test_lost_cell_has_the_lines_of_its_job(submit, tmp_path, system):
    cells = make_cells(tmp_path, 12)
    arrays = slurm.Arrays(tmp_path / "results" / "slurm")
    folder = arrays.add(cells)
    for index in range(12):
        text = f"oom-kill in {index}\n"
        (folder / f"77_{index}_0_log.err").write_text(text)
    tasks = arrays.tasks()
    for index, cell in enumerate(cells):
        (task,) = tasks[str(cell.place)]
        assert arrays.log_of(task).read_text() == f"oom-kill in {index}\n"


def finish(cell):
    cell.place.mkdir(parents=True, exist_ok=True)
    (cell.place / "result.json").write_text('{"fold": {"seconds": 1.0}}')


# The job


@pytest.fixture
def usual_signals():
    """Let this process be a job for a while."""
    numbers = signal.SIGTERM, signal.SIGUSR2
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)
    cell_run.STOPPED.clear()


def test_job_ends_with_the_code_of_its_cell(tmp_path, usual_signals):
    (cell,) = make_cells(tmp_path, says="no")
    assert slurm_job.CellJob()(cell) == 1
    assert read_error(cell)["lines"][-1] == "no"


def test_job_that_is_told_to_end_has_not_failed(
    tmp_path, usual_signals, monkeypatch
):
    """Slurm tells all processes to end; then it kills, or queues, the job."""
    (cell,) = make_cells(tmp_path, to="100000")

    def pause():
        raise SystemExit

    def tell():
        while not cell_run.RUNNING:
            time.sleep(0.01)
        for process in [*cell_run.RUNNING]:
            process.terminate()
        signal.pthread_kill(MAIN, signal.SIGTERM)

    monkeypatch.setattr(slurm_job.signal, "pause", pause)
    threading.Thread(target=tell).start()
    with pytest.raises(SystemExit):
        slurm_job.CellJob()(cell)
    assert state_of(cell) == WAITING


def test_next_turn_resumes(tmp_path, usual_signals):
    """At the end of its time, a job stops its command; the next one goes on."""
    (cell,) = make_cells(tmp_path, to="20")
    job = slurm_job.CellJob()
    nexts = []

    def requeue(*_):
        nexts.append(job.checkpoint(cell))
        raise SystemExit

    def tell():
        while not (cell.place / "count.txt").exists():
            time.sleep(0.01)
        signal.pthread_kill(MAIN, signal.SIGUSR2)

    signal.signal(signal.SIGUSR2, requeue)
    threading.Thread(target=tell).start()
    with pytest.raises(SystemExit):
        job(cell)
    assert state_of(cell) == WAITING
    cell_run.STOPPED.clear()  # the next turn is another process
    assert nexts[0].result() == 0
