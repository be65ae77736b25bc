"""A comparison as lines on the terminal."""

import sys
from pathlib import Path

from petl_modules.comparison.comparing import PAGE, compare
from petl_modules.comparison.tables import signed_text
from petl_modules.utils import listed, printable, show

MOST = 10  # unfinished runs that are named


def show_comparison(places, out, baseline=None, margin=0.01, published=None):
    """Compare the runs below some folders, and show what came of it.

    Arguments
    ---------
    places, out, baseline, margin, published
        See ``compare``, also for the errors.
    """
    compared, results = compare(places, out, baseline, margin, published)
    if results.unfinished:
        names = listed([*map(printable, results.unfinished)], MOST)
        show(f"left out, as not finished:\n{names}", sys.stderr)
    for group, _, differences in compared:
        for line in lines_of(group, differences):
            show(printable(line))
    show(printable(f"report: {Path(out) / PAGE}"))


def lines_of(group, differences):
    """Return a group's results as lines of text."""
    unit, digits, name = group.unit
    lines = [f"{group.title} ({group.protocol}): {group.metric} {name}".strip()]
    width = max(len(one.name) for one in group.configurations) + 2
    for one in group.configurations:
        line = f"  {one.name:{width}}{unit * one.mean():.{digits}f}"
        if found := differences.get(one.name):
            line += f"  {found.verdict}"
            if found.mean is not None:
                line += f" ({signed_text(unit * found.mean, digits)})"
        lines.append(line)
    return lines
