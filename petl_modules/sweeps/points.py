"""Points of a grid: one value of each key, but for those that are skipped."""

from itertools import product
from math import prod

from petl_modules.runs.layering import nearest
from petl_modules.utils import HparamsError

FIRST = ("dataset", "method", "base", "backbone")  # the slowest to change
KNOWN = (*FIRST, "seed")  # keys that result folders have without their names
MOST = 1_000_000  # points of a grid


def points_of(sweep):
    """Return the points of a sweep's grid.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    list of dict
        A text by key. The seed changes fastest.

    Raises
    ------
    HparamsError
        An entry of ``skip`` matches nothing, nothing is left, or the grid is
        too large.
    """
    grid = sweep.grid
    others = sorted(grid.keys() - {*KNOWN})
    keys = [key for key in (*FIRST, *others, "seed") if key in grid]
    for skipped in sweep.skip:
        _check_keys(skipped, grid, sweep.file)
    if (number := prod(map(len, grid.values()))) > MOST:
        raise HparamsError(
            f"{sweep.file}: the grid has {number:,} runs, and {MOST:,} are the "
            "most. Divide it into several files, of the same output_folder"
        )
    matched = [False] * len(sweep.skip)
    points = []
    for values in product(*(grid[key] for key in keys)):
        point = dict(zip(keys, values))
        found = [
            number
            for number, skipped in enumerate(sweep.skip)
            if all(point[key] in texts for key, texts in skipped.items())
        ]
        for number in found:
            matched[number] = True
        if not found:
            points.append(point)
    for skipped, used in zip(sweep.skip, matched):
        if not used:
            _refuse_skip(skipped, grid, sweep.file)
    if not points:
        raise HparamsError(f"{sweep.file}: all of the grid is skipped")
    return points


def _check_keys(skipped, grid, file):
    """Refuse a key that the grid has not."""
    if not skipped:
        raise HparamsError(f"{file}: skip: an entry is empty, and skips all")
    for key in skipped:
        if key not in grid:
            raise HparamsError(
                f"{file}: skip: '{key}' is no key of the grid"
                f"{nearest(key, grid)}"
            )


def _refuse_skip(skipped, grid, file):
    """Raise the error of an entry of ``skip`` that matches no point."""
    shown = ", ".join(f"{k}: {' or '.join(v)}" for k, v in skipped.items())
    text = f"{file}: skip: nothing matches {{{shown}}}"
    for key, values in skipped.items():
        if unknown := [value for value in values if value not in grid[key]]:
            raise HparamsError(
                f"{text}: the grid has no {key} '{unknown[0]}'"
                f"{nearest(unknown[0], grid[key])}"
            )
    raise HparamsError(f"{text}. Leave it out")
