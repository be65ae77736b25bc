"""Figure of results: a metric against trained parameters."""

import logging


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
    # Matplotlib logs each font it tries
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    figure = Figure(figsize=(1 + 4.5 * len(panels), 4), layout="constrained")
    for axes, (title, points) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
    ):
        for name, parameters, mean, std in points:
            mark = axes.errorbar(
                parameters, 100 * mean, 100 * std, fmt="o", capsize=2, lw=0.7
            )
            axes.annotate(
                name,
                (parameters, 100 * mean),
                (4, 4),
                textcoords="offset points",
                fontsize=8,
                color=mark[0].get_color(),
            )
        axes.set_xscale("log")
        axes.margins(x=0.2)
        axes.set_title(title)
        axes.set_xlabel("trained parameters")
    figure.axes[0].set_ylabel(f"{metric}, %")
    figure.savefig(path, dpi=150)
