"""Pictures of a comparison: a metric against its costs, and fold by fold."""

import textwrap

from petl_modules.runs.plots import draw_points, new_figure
from petl_modules.utils import printable

MOST = 20  # configurations of a group in a picture: the best ones
TALLEST = 60  # groups in a picture
# Inches of a picture: a column of an image has at most 65,535 pixels
HIGHEST = 590
LONGEST = 32  # characters in a line of a name
AXES = {  # what a configuration costs, and its unit
    "trainable_parameters": ("trained parameters", 1),
    "peak_memory_bytes": ("peak memory of training, MB", 1e-6),
    "seconds": ("seconds of training, a fold", 1),
}


def shown(group, baseline=None):
    """Return the configurations of a group that pictures show.

    Arguments
    ---------
    group : petl_modules.comparison.groups.Group
        The group.
    baseline : petl_modules.comparison.groups.Configuration or None
        It is shown whatever its place.

    Returns
    -------
    list of petl_modules.comparison.groups.Configuration
    """
    kept = group.configurations[:MOST]
    if baseline is not None and baseline not in kept:
        kept = [*kept[:-1], baseline]
    return kept


def names_of(rows):
    """Return the names of all configurations, each once.

    Arguments
    ---------
    rows : list of tuple
        See ``draw_pareto``.

    Returns
    -------
    list of str
    """
    names = (_plain(one.name) for _, some in rows for one in some)
    return list(dict.fromkeys(names))


def draw_pareto(path, rows, names=None):
    """Draw the metric against parameters, memory and time.

    A line joins the configurations of which no other is both cheaper and
    better.

    Arguments
    ---------
    path : pathlib.Path or io.BytesIO
        Where the PNG image goes.
    rows : list of tuple
        A group and its configurations, for each row of the picture.
    names : list of str or None
        See ``names_of``: a name looks the same in all pictures with this list.
        None: those of the rows.
    """
    heights = [max(3.8, _height_of_key(some)) for _, some in rows[:TALLEST]]
    while sum(heights) > HIGHEST:
        heights.pop()
    rows = rows[: len(heights)]
    everyone = names_of(rows) if names is None else names
    figure = new_figure(15, sum(heights))
    table = figure.subplots(
        len(rows), len(AXES) + 1, squeeze=False, height_ratios=heights
    )
    for (*panels, key), (group, configurations) in zip(table, rows):
        names = dict.fromkeys(everyone)
        for axes, (cost, (label, unit)) in zip(panels, AXES.items()):
            points = [
                (
                    _plain(one.name),
                    unit * one.mean(cost),
                    one.mean(),
                    one.deviation() or 0,
                )
                for one in configurations
                if one.mean(cost)
            ]
            axes.set_xlabel(label)
            axes.set_ylabel(_label(group))
            if not points:
                axes.text(0.5, 0.5, "not recorded", ha="center", va="center")
                axes.set(xticks=[], yticks=[])
                continue
            draw_points(axes, points, names, group.unit[0])
            _mark_costs(axes, [point[1] for point in points])
            front = front_of([point[1:3] for point in points], group.sign)
            axes.plot(
                [x for x, _ in front],
                [group.unit[0] * y for _, y in front],
                *("k:",),
                lw=0.8,
                zorder=0,
            )
        panels[0].set_title(_title(group, 60), fontsize=9, loc="left")
        key.axis("off")
        ranked = [_plain(one.name) for one in configurations]
        drawn = {name: names[name] for name in ranked if names[name]}
        key.legend(
            drawn.values(),
            map(_wrapped, drawn),
            loc="center left",
            frameon=False,
            fontsize=8,
        )
    figure.savefig(path, format="png", dpi=110)


def _height_of_key(configurations):
    """Return the inches that names take, one below another."""
    names = [_wrapped(_plain(one.name)) for one in configurations]
    return 0.5 + sum(0.06 + 0.16 * len(name.splitlines()) for name in names)


def _mark_costs(axes, costs):
    """Mark a logarithmic axis of costs, at round numbers."""
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

    wide = max(costs) >= 10 * min(costs)
    axes.xaxis.set_major_locator(LogLocator() if wide else MaxNLocator(4))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def front_of(points, sign):
    """Return the points that no other one beats in cost and value.

    Arguments
    ---------
    points : list of tuple
        Cost and value.
    sign : int
        -1 where lower values are better.

    Returns
    -------
    list of tuple
        By rising cost.

    Example
    -------
    >>> front_of([(1, 0.5), (2, 0.4), (3, 0.9)], sign=1)
    [(1, 0.5), (3, 0.9)]
    """
    front = []
    for cost, value in sorted(points, key=lambda p: (p[0], -sign * p[1])):
        if not front or sign * value > sign * front[-1][1]:
            front.append((cost, value))
    return front


def draw_folds(path, rows):
    """Draw a dot for each fold and seed; lines join those of one fold and seed.

    Arguments
    ---------
    path, rows
        See ``draw_pareto``.
    """
    rows = rows[:TALLEST]
    widest = max(len(configurations) for _, configurations in rows)
    width = max(5, 2 + 0.7 * widest)
    figure = new_figure(width, 4.2 * len(rows))
    table = figure.subplots(len(rows), 1, squeeze=False)
    for (axes,), (group, configurations) in zip(table, rows):
        unit = group.unit[0]
        places = sorted(set().union(*(c.results for c in configurations)))
        for place in places:
            there = [
                (x, unit * one.results[place].value)
                for x, one in enumerate(configurations)
                if place in one.results
            ]
            axes.plot(*zip(*there), "-", color="0.8", lw=0.6, zorder=0)
            axes.plot(*zip(*there), "o", color="C0", ms=3.5, alpha=0.7)
        for x, one in enumerate(configurations):
            mean = unit * one.mean()
            axes.plot([x - 0.25, x + 0.25], [mean, mean], color="C3", lw=2)
        axes.set_xticks(
            range(len(configurations)),
            [_wrapped(_plain(one.name)) for one in configurations],
            rotation=35,
            ha="right",
            fontsize=8,
        )
        axes.set_xlim(-0.75, len(configurations) - 0.25)
        axes.grid(axis="y", alpha=0.3)
        title = _title(group, int(10 * (width - 1)))
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_ylabel(_label(group))
    figure.savefig(path, format="png", dpi=110)


def _title(group, width):
    """Return data set and encoder, and below the protocol in short lines."""
    below = textwrap.shorten(group.protocol, 150, placeholder=" ...")
    return "\n".join(
        [_plain(group.title), *textwrap.wrap(_plain(below), width)]
    )


def _wrapped(name):
    """Return a name in short lines."""
    return textwrap.fill(name, LONGEST)


def _label(group):
    """Return the name of the metric, with its unit."""
    return ", ".join(filter(None, [_plain(group.metric), group.unit[2]]))


def _plain(text):
    """Return a name that matplotlib shows as it is: ``$`` begins a formula."""
    return printable(text).replace("$", r"\$")
