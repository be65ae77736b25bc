"""Engine ``local``: some cells at a time, on this machine."""

import os
import queue
import threading

import torch

from petl_modules.sweeps.cell_run import run_cell, stop_cells
from petl_modules.utils import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


def add_options(parser):
    """Declare the options of this engine."""
    parser.add_argument(
        "--workers",
        type=int,
        help="cells at a time; default: a cell for each GPU (see --per_gpu), "
        "or for each core where there is none",
    )
    parser.add_argument(
        "--per_gpu",
        type=int,
        default=1,
        help="cells at a time on each GPU; default: 1",
    )


def run(cells, options):
    """Run cells; see ``petl_modules.sweeps.engines``.

    Raises
    ------
    UserError
        A number of workers is not possible.
    """
    waiting, events = queue.SimpleQueue(), queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)

    def work(environment):
        try:
            while True:
                cell = waiting.get_nowait()
                events.put((cell, None))
                changed = {**environment, **cell.environment}
                code = run_cell(cell._replace(environment=changed))
                events.put((cell, code))
        except queue.Empty:
            events.put(None)
        except BaseException as error:
            events.put(error)

    places = environments(options.workers, options.per_gpu, os.environ)
    workers = [
        threading.Thread(target=work, args=[place])
        for place in places[: len(cells)]
    ]
    try:
        for worker in workers:
            worker.start()
        for _ in workers:
            while (event := events.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
    finally:
        _end(workers, waiting)


def _end(workers, waiting):
    """Stop what still runs; a second Ctrl-C kills it."""
    try:
        while True:
            try:
                waiting.get_nowait()
            except queue.Empty:
                break
        running = [worker for worker in workers if worker.is_alive()]
        if running:
            stop_cells()
        for worker in running:
            worker.join()
    except KeyboardInterrupt:
        stop_cells(force=True)
        raise


def environments(workers, per_gpu, environment):
    """Return the variables of each worker.

    GPUs are those that the environment shows. Workers take them in turn.

    Arguments
    ---------
    workers : int or None
        Number of workers. None: as many as there is room for.
    per_gpu : int
        Number of workers on each GPU.
    environment : dict
        The variables of this process, which prevail.

    Returns
    -------
    list of dict

    Raises
    ------
    UserError
        A number is below 1.

    Example
    -------
    >>> environments(2, 1, {"CUDA_VISIBLE_DEVICES": ""})
    [{'OMP_NUM_THREADS': '1'}, {'OMP_NUM_THREADS': '1'}]
    """
    for name, value in (("workers", workers), ("per_gpu", per_gpu)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}: at least 1 is needed")
    gpus = _gpus(environment)
    cores = _cores()
    workers = workers or len(gpus) * per_gpu or cores
    threads = max(1, cores // workers) if gpus else 1
    found = []
    for number in range(workers):
        variables = {} if THREADS in environment else {THREADS: str(threads)}
        if gpus:
            variables[VISIBLE] = gpus[number % len(gpus)]
        found.append(variables)
    return found


def _gpus(environment):
    """Return the names of the GPUs that a process with these variables sees."""
    if VISIBLE in environment:
        names = environment[VISIBLE].split(",")
        return [
            name.strip() for name in names if name.strip() not in ("", "-1")
        ]
    return [str(number) for number in range(torch.cuda.device_count())]


def _cores():
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
