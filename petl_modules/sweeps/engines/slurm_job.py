"""A cell as a job of Slurm, which may take several turns."""

import signal
import time

from petl_modules.sweeps.cell_run import (
    BUSY,
    UNFINISHED,
    run_when_free,
    stop_cells,
)
from petl_modules.sweeps.states import ERROR, write_error
from petl_modules.utils import brief

NEIGHBOURS = 2  # seconds in which a signal reaches all processes of a job


class CellJob:
    """Run a cell; when the time of the job is over, queue it again.

    Called by submitit in the job. The command of a cell resumes from its last
    checkpoint, so that nothing but the cell is carried to the next turn.
    """

    def __call__(self, cell):
        """Run the cell; return its exit code."""
        told_to_end = []
        signal.signal(signal.SIGTERM, lambda *_: told_to_end.append(True))
        try:
            code = run_when_free(cell)
            if code in (0, BUSY):
                return code
            # Slurm signals all processes of a job, one by one: the command may
            # have failed of what this process is about to be told
            end = time.monotonic() + NEIGHBOURS
            while not told_to_end and time.monotonic() < end:
                time.sleep(0.1)
        except Exception as error:  # no more turns, for one
            write_error(cell, UNFINISHED, [brief(error)])
            raise
        while told_to_end:  # a job that ends by itself is not queued again
            _forget_error(cell)
            signal.pause()
        return code

    def checkpoint(self, cell):
        """Stop the cell; return what the next turn does."""
        from submitit.helpers import DelayedSubmission

        stop_cells(force=True)
        _forget_error(cell)
        return DelayedSubmission(self, cell)


def _forget_error(cell):
    """Remove the error of a cell that has not failed by itself."""
    (cell.place / ERROR).unlink(missing_ok=True)
