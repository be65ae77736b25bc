"""Progress of a sweep: a bar, failures at once, and the time left."""

import sys
from collections import Counter

from petl_modules.libraries import INTERRUPTED
from petl_modules.runs.logs import progress_bar
from petl_modules.sweeps.cell_run import BUSY
from petl_modules.sweeps.status import reason_of
from petl_modules.utils import printable, show

BAR = "{l_bar}{bar}| {n_fmt} of {total_fmt} cells{postfix}"
STEPS = 20  # lines about the progress where the output is no terminal


class Progress:
    """Progress of a sweep; a context that ends the bar.

    Arguments
    ---------
    total : int
        Number of cells.
    finished : int
        How many of them have finished before.
    left : petl_modules.sweeps.time_left.TimeLeft
        The time left.

    Attributes
    ----------
    failed : list of petl_modules.sweeps.Cell
        Cells that have failed.
    codes : collections.Counter
        Number of cells by exit code.
    """

    def __init__(self, total, finished, left):
        self.total, self.finished, self.left = total, finished, left
        self.failed, self.codes = [], Counter()
        self.bar = progress_bar(total=total, initial=finished, bar_format=BAR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def start(self, cell):
        """Note that a cell has started."""
        self.left.start(cell)
        self.bar.set_postfix_str(self._text())

    def end(self, cell, code):
        """Note that a cell has ended."""
        self.left.end(cell, code)
        self.codes[code] += 1
        if code == 0:
            self.finished += 1
            self.bar.update()
        elif code not in (BUSY, INTERRUPTED):
            self.failed.append(cell)
            text = f"failed: {cell.place}: {reason_of(cell)}"
            show(printable(text), sys.stderr)
        self.bar.set_postfix_str(self._text())
        every = max(1, self.total // STEPS)
        if self.bar.disable and code == 0 and self.finished % every == 0:
            text = f"{self.finished} of {self.total} cells, {self._text()}"
            show(text, sys.stderr)

    def _text(self):
        text = f"time left: {self.left.text()}"
        return f"{len(self.failed)} failed, {text}" if self.failed else text
