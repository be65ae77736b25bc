"""Engine ``ray``: each cell a task of a Ray cluster, or of this machine."""

import contextlib
import logging
import os
import socket
from itertools import islice
from pathlib import Path

import petl_modules
from petl_modules.sweeps.cell_run import UNFINISHED, run_when_free
from petl_modules.sweeps.staging import require_archives
from petl_modules.sweeps.states import is_running, write_error
from petl_modules.utils import UserError, brief, require_extra

TRIES = 3  # of a cell whose worker was killed, after the first
POLL = 5  # seconds
PATIENCE = 10  # seconds for tasks to stop
# Ray reports its use to its makers unless told otherwise
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def add_options(parser):
    """Declare the options of this engine; ``--per_gpu`` is the local one's."""
    parser.add_argument(
        "--address",
        help="of a Ray cluster that sees the same disk, such as auto or "
        "HOST:6379; default: RAY_ADDRESS, or this machine alone",
    )
    parser.add_argument(
        "--cores", type=int, default=1, help="of each cell; default: 1"
    )


def run(cells, options):
    """Run cells; see ``petl_modules.sweeps.engines``.

    Raises
    ------
    UserError
        An option is not possible, or there is no such cluster.
    """
    for name, value in (("cores", options.cores), ("per_gpu", options.per_gpu)):
        if value < 1:
            raise UserError(f"--{name} is {value}: at least 1 is needed")
    require_archives({path for cell in cells for path in cell.archives})
    os.environ.update({**QUIET, **os.environ})
    ray = require_extra("ray", "ray")
    _connect(ray, options.address)
    running = {}
    try:
        there = ray.cluster_resources()
        gpus = 1 / options.per_gpu if there.get("GPU") else 0
        _require_room(ray.nodes(), options.cores, gpus)
        needs = {"num_cpus": options.cores, "num_gpus": gpus}
        task = ray.remote(**needs, max_retries=TRIES)(run_when_free)
        running.update((task.remote(cell), cell) for cell in cells)
        at_a_time = int(there["CPU"] // options.cores)
        yield from _follow(ray, running, at_a_time)
    finally:
        _stop(ray, [*running])


def _connect(ray, address):
    """Connect to a cluster, or start one on this machine."""
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    # Workers on other machines import this package from the same disk
    places = [str(Path(petl_modules.__file__).parents[1])]
    places += filter(None, [os.environ.get("PYTHONPATH")])
    only_here = {"include_dashboard": False} if address == "local" else {}
    try:
        _require_answer(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(places)}},
            **only_here,
        )
    except (
        OSError,
        RuntimeError,
        ValueError,
        ray.exceptions.RayError,
    ) as error:
        raise UserError(
            f"Ray does not answer at '{address}': {brief(error)}. Start it "
            "there by ray start --head, or leave out --address"
        ) from error


def _require_room(nodes, cores, gpus):
    """Raise an error where no machine can run a cell; Ray would wait for one."""
    there = [node["Resources"] for node in nodes if node["Alive"]]
    most = max(
        (one.get("CPU", 0) for one in there if one.get("GPU", 0) >= gpus),
        default=0,
    )
    if cores > most:
        beside = " with a GPU" if gpus else ""
        raise UserError(
            f"--cores is {cores}: the largest machine of this Ray{beside} has "
            f"{most:.0f}"
        )


def _require_answer(address):
    """Raise an error where nobody listens; Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _follow(ray, running, at_a_time):
    """Yield cells as they start and end; remove tasks that have ended."""
    waiting = dict(running)
    while running:
        ended, _ = ray.wait([*running], timeout=POLL)
        first = islice(waiting, at_a_time)  # they start in order
        for task in {*ended, *first}:
            cell = running[task]
            if task in waiting and (task in ended or is_running(cell)):
                del waiting[task]
                yield cell, None
        for task in ended:
            cell = running.pop(task)
            yield cell, _code_of(ray, task, cell)


def _code_of(ray, task, cell):
    """Return the exit code of a cell whose task has ended."""
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        reason = error.cause if hasattr(error, "cause") else error
        write_error(cell, UNFINISHED, [f"Ray: {brief(reason)}"])
        return UNFINISHED


def _stop(ray, tasks):
    """Stop what still runs, and disconnect.

    A worker is killed, as nothing else reaches one that waits for its command,
    and the command ends with it.
    """
    with contextlib.suppress(ray.exceptions.RayError):
        for task in tasks:
            ray.cancel(task, force=True)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=PATIENCE)
    ray.shutdown()
