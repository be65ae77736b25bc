"""Picture of the classes of a recording over time."""

import logging
from pathlib import Path

import numpy as np

from petl_modules.utils import UserError, printable, require_new

SUFFIXES = ".png", ".pdf", ".svg", ".jpg", ".jpeg"


def require_picture(path):
    """Check, before long work, that a new picture can be written.

    Arguments
    ---------
    path : str or pathlib.Path
        The picture to come.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    UserError
        It is there already, or is of no known kind.
    """
    path = require_new(path, "--picture")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path} is no picture: its name must end with "
            f"{', '.join(SUFFIXES)}"
        )
    return path


def write_score_plot(path, scores, classes, title=""):
    """Write the probabilities of the highest classes over time.

    Arguments
    ---------
    path : str or pathlib.Path
        An image file.
    scores : petl_modules.inference.window_scores.WindowScores
        The scores.
    classes : int
        How many classes to show.
    title : str
        The picture's title.
    """
    # Matplotlib logs each font it tries
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    shown = np.argsort(-scores.max, kind="stable")[:classes]
    edges = cell_edges(scores.starts, scores.stops)
    minutes = edges[-1] > 180
    height = max(2.2, 1.2 + 0.35 * len(shown))
    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(
        edges / (60 if minutes else 1),
        np.arange(len(shown) + 1),
        scores.probabilities[:, shown].T,
        vmin=0,
        vmax=1,
        cmap="viridis",
    )
    names = [printable(scores.labels[i]) for i in shown]
    axes.set_yticks(np.arange(len(shown)) + 0.5, names, parse_math=False)
    axes.invert_yaxis()
    if len(shown) < len(scores.labels):
        axes.set_ylabel(f"highest {len(shown)} of {len(scores.labels)} classes")
    axes.set_xlabel("time in " + ("minutes" if minutes else "seconds"))
    axes.set_title(printable(title), parse_math=False)
    figure.colorbar(mesh, ax=axes, label="probability")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def cell_edges(starts, stops):
    """Return where the cells of windows meet.

    Two windows meet in the middle between their centres.

    Arguments
    ---------
    starts, stops : numpy.ndarray
        Of the windows, in seconds.

    Returns
    -------
    numpy.ndarray
        One more than there are windows.

    Example
    -------
    >>> cell_edges(np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0, 4.0]))
    array([0. , 1.5, 2.5, 4. ])
    """
    centres = (starts + stops) / 2
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([starts[:1], inner, stops[-1:]])
