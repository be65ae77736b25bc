"""Run the cells of a sweep by an engine.

Notes go to the standard error: the engine ``print`` has the standard output.
"""

import contextlib
import sys
from collections import Counter

from petl_modules.libraries import INTERRUPTED
from petl_modules.sweeps.cell_run import BUSY
from petl_modules.sweeps.preparation import prepare
from petl_modules.sweeps.progress import Progress
from petl_modules.sweeps.states import DONE, seconds_of, state_of
from petl_modules.sweeps.status import failures_text
from petl_modules.sweeps.time_left import MOST, TimeLeft
from petl_modules.utils import UserError, show


def run_cells(cells, engine, options):
    """Run the cells that are not done, by an engine.

    Arguments
    ---------
    cells : list of petl_modules.sweeps.Cell
        The cells.
    engine : module
        See ``petl_modules.sweeps.engines``.
    options : argparse.Namespace
        The engine's options.

    Returns
    -------
    bool
        Whether nothing has failed or was interrupted.

    Raises
    ------
    KeyboardInterrupt
        All that was running has been stopped.
    """
    states = [state_of(cell) for cell in cells]
    done = [c for c, state in zip(cells, states) if state == DONE]
    prepares = getattr(engine, "PREPARES", True)
    unprepared = prepare(cells, states) if prepares else {}
    ready = [
        cell
        for cell, state in zip(cells, states)
        if state != DONE and cell.preparation not in unprepared
    ]
    left = TimeLeft(ready)
    _learn(left, done)
    with (
        Progress(len(cells), len(done), left) as progress,
        contextlib.closing(engine.run(ready, options)) as events,
    ):
        for cell, code in events:
            if code is None:
                progress.start(cell)
            else:
                progress.end(cell, code)
    _report(progress)
    stopped = progress.codes[INTERRUPTED]
    return not (progress.failed or unprepared or stopped)


def _learn(left, done):
    """Take the times of some finished cells of each kind."""
    taken = Counter()
    for cell in done:
        if taken[cell.kind] < MOST:
            taken[cell.kind] += 1
            with contextlib.suppress(UserError, OSError):  # said elsewhere
                left.known(cell.kind, seconds_of(cell))


def _report(progress):
    """Show what has become of all cells, and name those that have failed."""
    text = f"{progress.finished} of {progress.total} cells are finished"
    if busy := progress.codes[BUSY]:
        text += f"; other processes are at {busy}"
    if stopped := progress.codes[INTERRUPTED]:
        text += f"; {stopped} were interrupted, and wait"
    show(text, sys.stderr)
    if not progress.failed:
        return
    show(
        f"{len(progress.failed)} failed; the same command tries them again:\n"
        f"{failures_text(progress.failed)}",
        sys.stderr,
    )
