"""Engine ``slurm``: each cell a job of the queue of a cluster, by submitit."""

import shlex
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from petl_modules.runs.yaml_text import parse_mapping
from petl_modules.sweeps.cell_run import UNFINISHED, last_lines
from petl_modules.sweeps.engines.slurm_job import CellJob
from petl_modules.sweeps.engines.slurm_options import sbatch_options
from petl_modules.sweeps.engines.slurm_queue import Arrays, queued
from petl_modules.sweeps.staging import require_archives
from petl_modules.sweeps.states import (
    DONE,
    FAILED,
    RUNNING,
    read_error,
    state_of,
    write_error,
)
from petl_modules.utils import UserError, alone_in, brief, require_extra, show

LARGEST = 1000  # tasks of an array; Slurm allows 1001 unless configured
# A job that is told to end before it listens would end for good
PYTHON = """sh -c 'trap "" TERM USR2; exec "$0" "$@"' """
TURNS = 20  # time limits that a cell may take
POLL = 15  # seconds
LATE = 4  # polls after the end of a job, until its files are seen everywhere


def add_options(parser):
    """Declare the options of this engine."""
    parser.add_argument(
        "--slurm",
        default="{}",
        metavar="YAML",
        help="options of sbatch, which replace those under 'slurm' in the "
        "file: '{partition: gpu, gres: gpu:1, time: 2:00:00}'",
    )
    parser.add_argument(
        "--partition", help="short for --slurm '{partition: ...}'"
    )
    parser.add_argument(
        "--array_parallelism",
        type=int,
        metavar="N",
        help="cells that run at a time; default: as many as Slurm allows",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait for the end of all cells; default: end when they are in "
        "the queue",
    )


def run(cells, options):
    """Submit cells; see ``petl_modules.sweeps.engines``.

    Raises
    ------
    UserError
        An option is not possible, or Slurm refuses the jobs.
    """
    submitit = require_extra("submitit", "slurm")
    if shutil.which("sbatch") is None:
        raise UserError(
            "engine slurm needs Slurm's program sbatch: run this on a login "
            "node of the cluster"
        )
    parameters = _parameters(options)
    require_archives({path for cell in cells for path in cell.archives})
    arrays = Arrays(Path(options.sweep.output_folder, "slurm"))
    arrays.folder.mkdir(parents=True, exist_ok=True)
    with alone_in(arrays.folder):  # two that submit would submit twice
        free = _free(cells, arrays)
        parts = [free[i : i + LARGEST] for i in range(0, len(free), LARGEST)]
        if options.array_parallelism:
            at_a_time = max(1, options.array_parallelism // max(1, len(parts)))
            parameters["slurm_array_parallelism"] = at_a_time
        for part in parts:
            _submit(submitit, arrays.add(part), part, parameters)
    if options.wait:
        yield from _wait(cells, arrays)


def _parameters(options):
    """Return the parameters of submitit."""
    given = parse_mapping(options.slurm, "--slurm")
    if options.partition:
        given["partition"] = options.partition
    if options.array_parallelism is not None and options.array_parallelism < 1:
        raise UserError(
            f"--array_parallelism is {options.array_parallelism}: at least 1 "
            "is needed"
        )
    return sbatch_options({**options.sweep.slurm, **given})


def _free(cells, arrays):
    """Return the cells that are not in the queue, and show the counts."""
    tasks, there = arrays.tasks(), queued()
    free, ended = [], 0
    for cell in cells:
        known = tasks.get(str(cell.place), [])
        if there.isdisjoint(known):
            free.append(cell)
            ended += bool(known) and state_of(cell) not in (FAILED, RUNNING)
    if waiting := len(cells) - len(free):
        show(f"{waiting} cells are in the queue already")
    if ended:
        show(
            f"{ended} cells were in the queue before, and their jobs have "
            f"ended without a result: see the *_log.err in {arrays.folder}"
        )
    return free


def _submit(submitit, folder, cells, parameters):
    """Submit an array of jobs."""
    try:
        executor = submitit.AutoExecutor(
            folder,
            cluster="slurm",
            slurm_max_num_timeout=TURNS,
            slurm_python=PYTHON + shlex.quote(sys.executable),
        )
        executor.update_parameters(name=folder.name, **parameters)
        jobs = executor.map_array(CellJob(), cells)
    except Exception as error:
        shutil.rmtree(folder)  # no job has this name
        raise UserError(
            f"Slurm has refused {len(cells)} cells: {brief(error)}"
        ) from error
    show(
        f"{len(cells)} cells are in the queue as job "
        f"{jobs[0].job_id.partition('_')[0]}, named {folder.name}; log files: "
        f"{folder}"
    )


def _wait(cells, arrays):
    """Yield cells as they start and end."""
    tasks = arrays.tasks()
    left, started, missed = {c.place: c for c in cells}, set(), Counter()
    try:
        while left:
            there = _queued_if_known()
            for place, cell in [*left.items()] if there is not None else []:
                known, state = tasks.get(str(place), []), state_of(cell)
                missed[place] += there.isdisjoint(known)
                if state == RUNNING and place not in started:
                    started.add(place)
                    yield cell, None
                code = _end_of(cell, state, missed[place], known, arrays)
                if code is not None:
                    del left[place]
                    yield cell, code
            if left:
                time.sleep(POLL)
    except (KeyboardInterrupt, GeneratorExit):
        show(f"{len(left)} cells stay in the queue; scancel ends them")
        raise


def _queued_if_known():
    """Return the tasks in the queue; None: Slurm does not answer now."""
    try:
        return queued()
    except UserError as error:
        show(f"{error}", sys.stderr)
        return None


def _end_of(cell, state, missed, tasks, arrays):
    """Return the exit code of a cell that has ended, or None.

    Files that a job has written may be seen late by other machines.
    """
    if state == DONE:
        return 0
    if state == RUNNING or missed < LATE:
        return None
    if state != FAILED:
        log = arrays.log_of(tasks[-1]) if tasks else None
        text = [f"the job has ended without a result, log file {log}"]
        lines = last_lines(log) if log else []
        write_error(cell, UNFINISHED, [*lines, *text])
    return read_error(cell)["code"]
