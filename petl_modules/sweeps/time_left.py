"""How long a sweep will take, from the cells that have finished."""

import time
from collections import Counter
from statistics import fmean

MOST = 5  # finished cells of a kind whose files are read


class TimeLeft:
    """An estimate of the time left, by cells of the same kind.

    Arguments
    ---------
    cells : list of petl_modules.sweeps.Cell
        The cells to run.
    clock : callable
        Returns seconds; a wrong date does not matter.

    Example
    -------
    >>> from petl_modules.sweeps.cell import Cell
    >>> cells = [Cell("ESC50", "ast", "lora", "", "", {}, "", "", k) for k in (1, 2, 3)]
    >>> times = iter([0, 60, 60])
    >>> left = TimeLeft(cells, clock=lambda: next(times))
    >>> left.text()
    'unknown'
    >>> left.start(cells[0]); left.end(cells[0], 0); left.start(cells[1])
    >>> left.text(now=90)  # 30 s of the second one, and the third one
    '90 s'
    """

    def __init__(self, cells, clock=time.monotonic):
        self.clock = clock
        self.waiting = Counter(cell.kind for cell in cells)
        self.running = {}  # start by cell's place
        self.at_once = 1  # the most cells that have run at a time
        self.seconds = {}  # of finished cells, by kind

    def known(self, kind, seconds):
        """Note how long a finished cell has taken."""
        self.seconds.setdefault(kind, []).append(seconds)

    def start(self, cell):
        """Note that a cell has started."""
        self.waiting[cell.kind] -= 1
        self.running[cell.place] = cell.kind, self.clock()
        self.at_once = max(self.at_once, len(self.running))

    def end(self, cell, code):
        """Note that a cell has ended; only a finished one tells its time."""
        kind, start = self.running.pop(cell.place)
        if code == 0:
            self.known(kind, self.clock() - start)

    def text(self, now=None):
        """Return the time left in words.

        A kind of which no cell has finished yet is taken to need what the
        others do, and the time is then only ``about`` right.
        """
        if not self.seconds:
            return "unknown"
        now = self.clock() if now is None else now
        means = {kind: fmean(found) for kind, found in self.seconds.items()}
        usual = fmean(means.values())
        total = sum(
            count * means.get(kind, usual)
            for kind, count in self.waiting.items()
        )
        for kind, start in self.running.values():
            total += max(0, means.get(kind, usual) - (now - start))
        # Between two cells a worker has none
        left = self.waiting.total() + len(self.running)
        text = duration(total / max(1, min(self.at_once, left)))
        kinds = [k for k, count in self.waiting.items() if count]
        kinds += [kind for kind, _ in self.running.values()]
        return text if means.keys() >= {*kinds} else f"about {text}"


def duration(seconds):
    """Return a time in words.

    Example
    -------
    >>> duration(9), duration(3000), duration(90_000), duration(1e6)
    ('9 s', '50 min', '25 h', '11.6 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.1f} days"
