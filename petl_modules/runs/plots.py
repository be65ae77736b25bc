"""Figure of results: a metric against trained parameters."""

import logging
import math

COLORS = [*(f"C{i}" for i in range(10)), "black", "gold"]
MARKERS = "oDs^vPX"


def draw_tradeoff(path, panels, metric):
    """Draw a metric against trained parameters, one panel a task.

    Arguments
    ---------
    path : pathlib.Path
        The image file to write.
    panels : dict
        From title to points: tuples of name, trained parameters, mean and
        standard deviation of the metric (0 to 1).
    metric : str
        Name of the metric.
    """
    names = {name: None for points in panels.values() for name, *_ in points}
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    # The legend has a place of its own: next to points, names would overlap
    wide = 2 * columns  # names side by side
    tall = math.ceil(len(names) / wide)
    figure = new_figure(4.5 * columns, 3.5 * rows + 0.25 * tall)
    places = [*figure.subplots(rows, columns, squeeze=False).flat]
    for axes, (title, points) in zip(places, panels.items()):
        draw_points(axes, points, names)
        axes.set_title(title)
        axes.set_xlabel("trained parameters")
        axes.set_ylabel(f"{metric}, %")
    for axes in places[len(panels) :]:
        axes.axis("off")
    figure.legend(
        names.values(),
        names,
        loc="outside lower center",
        ncols=wide,
        frameon=False,
    )
    figure.savefig(path, dpi=150)


def new_figure(width, height):
    """Return an empty figure of a size in inches."""
    # Matplotlib logs each font it tries
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    return Figure(figsize=(width, height), layout="constrained")


def draw_points(axes, points, names, unit=100):
    """Draw points with their deviations over a logarithmic axis.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        The panel.
    points : list of tuple
        Name, place on the logarithmic axis, mean and standard deviation.
    names : dict
        All names, in their order; a name gets what stands for it in a legend.
    unit : float
        Factor of mean and deviation.
    """
    numbers = {name: number for number, name in enumerate(names)}
    for name, place, mean, std in points:
        number = numbers[name]
        names[name] = axes.errorbar(
            place,
            unit * mean,
            unit * std,
            fmt=MARKERS[number % len(MARKERS)],
            color=COLORS[number % len(COLORS)],
            capsize=2,
            lw=0.7,
        )
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter("")  # several decades, or they overlap
    axes.margins(x=0.1)
    axes.grid(alpha=0.3)
