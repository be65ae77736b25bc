"""Prepare the data of a sweep, once a data set, before its cells run.

Manifests and downloads are made by the cells' own command, which stops behind
that. Cells are safe without: the first one prepares, and the others wait. But
here a mistake in the data is found once, and not by each cell.
"""

import sys
from pathlib import Path

from petl_modules.libraries import INTERRUPTED
from petl_modules.sweeps.cell_run import call, last_lines
from petl_modules.sweeps.states import DONE, RUNNING
from petl_modules.utils import listed, printable, show

LOG = "prepare.txt"


def prepare(cells, states):
    """Prepare the data of cells that are not done.

    Data of which a cell is done or runs, that one cell alone needs, or that
    are in archives, are left to the cells.

    Arguments
    ---------
    cells : list of petl_modules.sweeps.Cell
        All cells of a sweep.
    states : list of str
        Their states.

    Returns
    -------
    dict
        The log file by ``Cell.preparation``, where it has failed. It is shown.

    Raises
    ------
    KeyboardInterrupt
        The command was interrupted.
    """
    left, prepared = {}, set()
    for cell, state in zip(cells, states):
        if state in (DONE, RUNNING) or cell.archives:
            prepared.add(cell.preparation)
        else:
            left.setdefault(cell.preparation, []).append(cell)
    failed = {}
    for key, some in left.items():
        if key in prepared or len(some) == 1:
            continue
        log = Path(some[0].folder, LOG)
        show(f"preparing {some[0].dataset}", sys.stderr)
        if code := _prepare(some[0], log):
            if code == INTERRUPTED:
                raise KeyboardInterrupt
            failed[key] = log
            lines = listed([printable(one) for one in last_lines(log)[-5:]])
            show(
                f"{some[0].dataset} cannot be prepared, and {len(some)} cells "
                f"are left out (log file {log}):\n{lines}",
                sys.stderr,
            )
    return failed


def _prepare(cell, log):
    """Run a cell's command up to the prepared data; return its exit code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        return call([*cell.command, "--prepare_only"], cell, output)
