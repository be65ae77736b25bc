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
        A text by key. The seed changes fastest, but for the trials of a search.

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
    return _tried(points, sweep) if sweep.search else points


def combinations_of(sweep):
    """Return the points of the grid without seeds, which a search tunes."""
    points = points_of(sweep._replace(search={}))
    return [dict(one) for one in dict.fromkeys(map(_combination, points))]


def _tried(points, sweep):
    """Return each point with the values of each of its trials."""
    trials = {}
    for trial in sweep.trials:
        values = {key: trial[key] for key in sweep.search}
        grid = {k: v for k, v in trial.items() if k not in values}
        trials.setdefault(_combination(grid), []).append(values)
    return [
        {**point, **values}
        for point in points
        for values in trials.get(_combination(point), [])
    ]


def _combination(point):
    """Return a point without its seed, as a key."""
    return tuple(sorted((k, v) for k, v in point.items() if k != "seed"))


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
