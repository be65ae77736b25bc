"""Scores of the windows of a long recording: a table, a picture."""

from typing import NamedTuple

import numpy as np

from petl_modules.utils import write_csv


def best_of(probabilities, labels, top=None):
    """Return labels and their probabilities, the most probable first.

    Arguments
    ---------
    probabilities : numpy.ndarray
        ``[classes]``.
    labels : list of str
        Names of the classes.
    top : int or None
        How many to return. None: all.

    Returns
    -------
    list of tuple

    Example
    -------
    >>> best_of(np.array([0.25, 0.75]), ["cat", "dog"], top=1)
    [('dog', 0.75)]
    """
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(labels[i], float(probabilities[i])) for i in order]


class Window(NamedTuple):
    """The classes of a part of a recording, from ``start`` to ``stop``."""

    start: float  # in seconds
    stop: float
    guesses: list  # of labels and probabilities, the most probable first
    probabilities: np.ndarray  # of all classes, in the order of the labels


class WindowScores:
    """The classes of a recording over time.

    Arguments
    ---------
    labels : list of str
        Names of the classes.
    starts, stops : numpy.ndarray
        Seconds where the windows begin and end, ``[windows]``.
    probabilities : numpy.ndarray
        ``[windows, classes]``.

    Attributes
    ----------
    mean, max : numpy.ndarray
        Mean and maximum of each class's probability, ``[classes]``.

    Example
    -------
    >>> scores = WindowScores(
    ...     ["cat", "dog"],
    ...     np.array([0.0, 1.0]),
    ...     np.array([2.0, 3.0]),
    ...     np.array([[0.25, 0.75], [0.875, 0.125]]),
    ... )
    >>> scores.best(top=1), scores.best(top=1, of="max")
    ([('cat', 0.5625)], [('cat', 0.875)])
    >>> scores.table()[0]
    {'start': 0.0, 'stop': 2.0, 'label': 'dog', 'probability': 0.75}
    """

    def __init__(self, labels, starts, stops, probabilities):
        self.labels = labels
        self.starts, self.stops = starts, stops
        self.probabilities = probabilities
        self.mean, self.max = probabilities.mean(0), probabilities.max(0)

    def __len__(self):
        return len(self.starts)

    def best(self, top=None, of="mean"):
        """Return labels and scores of the whole recording, the best first.

        Arguments
        ---------
        top : int or None
            How many. None: all.
        of : str
            ``mean`` or ``max`` over the windows.

        Returns
        -------
        list of tuple
        """
        scores = {"mean": self.mean, "max": self.max}[of]
        return best_of(scores, self.labels, top)

    def windows(self, top=None):
        """Return each window with its labels.

        Arguments
        ---------
        top : int or None
            How many labels of a window. None: all.

        Returns
        -------
        list of Window
        """
        times = zip(self.starts.tolist(), self.stops.tolist())
        return [
            Window(start, stop, best_of(one, self.labels, top), one)
            for (start, stop), one in zip(times, self.probabilities)
        ]

    def table(self, top=1):
        """Return times, labels and probabilities as rows.

        Arguments
        ---------
        top : int or None
            How many rows for each window, the most probable class first.
            None: all.

        Returns
        -------
        list of dict
            ``start`` and ``stop`` in seconds, ``label``, ``probability``.
        """
        return [
            {
                "start": round(window.start, 6),
                "stop": round(window.stop, 6),
                "label": label,
                "probability": probability,
            }
            for window in self.windows(top)
            for label, probability in window.guesses
        ]

    def write_csv(self, path, top=1):
        """Write ``table`` as a CSV file."""
        write_csv(path, self.table(top))

    def write_picture(self, path, classes=8, title=""):
        """Write a picture of the scores over time.

        Arguments
        ---------
        path : str or pathlib.Path
            An image file, such as ``.png`` or ``.pdf``.
        classes : int
            How many classes to show: those with the highest scores.
        title : str
            Its title.
        """
        from petl_modules.inference.score_plot import write_score_plot

        write_score_plot(path, self, classes, title)
