"""How far a sweep is, as a table."""

import signal
from collections import Counter

from petl_modules.sweeps.states import (
    DONE,
    FAILED,
    OUTPUT,
    STATES,
    is_done,
    read_error,
    state_of,
)
from petl_modules.utils import UserError, brief, listed, printable

KIND = ("dataset", "encoder", "method")
SHOWN = 20  # failures that are named
ERROR_MARK = "error: "  # begins the error that a command ends with


def status_text(cells):
    """Return how far a sweep is.

    Arguments
    ---------
    cells : iterable of petl_modules.sweeps.Cell
        Its cells.

    Returns
    -------
    str
        The number of cells in each state, by data set, encoder and method;
        then the failed ones, with the error of each.
    """
    counts, failed = {}, []
    for cell in cells:
        state = state_of(cell)
        counts.setdefault(cell.kind, Counter())[state] += 1
        if state == FAILED:
            failed.append(cell)
    text = table(KIND, STATES, counts)
    if not failed:
        return text
    return f"{text}\nfailed:\n{failures_text(failed)}"


def failures_text(cells):
    """Return how cells have failed, one a line; of many, some."""
    lines = [
        printable(f"{cell.place / OUTPUT}: {reason_of(cell)}")
        for cell in cells[:SHOWN]
    ]
    if more := cells[SHOWN:]:
        lines.append(f"... and {len(more)} more")
    return listed(lines)


def plan_text(sweep, cells):
    """Return what would run.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    cells : list of petl_modules.sweeps.Cell
        All of its cells.

    Returns
    -------
    str
        The number of runs, cells and finished cells, by data set, encoder and
        method; of a search, those of its trials so far, and its ranges.
    """
    counts, folders = {}, set()
    for cell in cells:
        count = counts.setdefault(cell.kind, Counter())
        count["runs"] += cell.folder not in folders
        count["cells"] += 1
        count[DONE] += is_done(cell)
        folders.add(cell.folder)
    text = table(KIND, ("runs", "cells", DONE), counts)
    lines = [f"search: {key} from {one}" for key, one in sweep.search.items()]
    where = (
        f"a cell is one fold of one run; results go to {sweep.output_folder}"
    )
    return "\n".join([text, *lines, where])


def reason_of(cell):
    """Return how a cell has failed, and its error or the last line printed."""
    try:
        error = read_error(cell)
    except (UserError, OSError) as problem:  # a disk that was full, for one
        return brief(problem)
    text = "\n".join(error["lines"]).strip()
    _, mark, told = f"\n{text}".rpartition(f"\n{ERROR_MARK}")
    told = told if mark else text.rpartition("\n")[2]
    return f"{ending(error['code'])}: {brief(told or 'nothing was printed')}"


def ending(code):
    """Return an exit code in words.

    Example
    -------
    >>> ending(2), ending(-9)
    ('exit code 2', 'ended by SIGKILL')
    """
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"exit code {code}"


def table(names, columns, counts):
    """Return counts as a table with sums.

    Arguments
    ---------
    names : tuple of str
        Heads of the first columns.
    columns : tuple of str
        Keys of the counts.
    counts : dict of collections.Counter
        By the values of the first columns.

    Returns
    -------
    str

    Example
    -------
    >>> counts = {("a", "lora"): Counter(done=2), ("b", "linear"): Counter(failed=1)}
    >>> print(table(("set", "method"), ("done", "failed"), counts))
    set  method  done  failed
    a    lora       2       0
    b    linear     0       1
    all             2       1
    """
    all_kinds = ("all", *[""] * (len(names) - 1))
    counts = {**counts, all_kinds: sum(counts.values(), Counter())}
    rows = [[*names, *columns]]
    for kind, count in counts.items():
        rows.append([*kind, *(str(count[column]) for column in columns)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < len(names) else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )
