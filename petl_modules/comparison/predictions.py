"""Predictions of a fold, as what a bootstrap counts."""

from typing import NamedTuple

import numpy as np

from petl_modules.runs.fold_files import (
    PREDICTIONS,
    remedy,
    require_unchanged,
)
from petl_modules.utils import damaged, read_csv
from petl_modules.verification import error_curve

NEAR = 1e-6  # of a metric that was computed from the same predictions
COLUMNS = {
    "accuracy": ("id", "label", "predicted"),
    "wer": ("id", "text", "wer_errors"),
    "cer": ("id", "text", "cer_errors"),
    "per": ("id", "text", "per_errors"),
    "eer": ("first", "second", "same", "score"),
}


class Tested(NamedTuple):
    """What a fold has predicted of its test clips, or trials.

    Arguments
    ---------
    clips : tuple
        Their ids, sorted; of trials, pairs of ids.
    values : numpy.ndarray
        Correct clips (0 or 1), wrong words, or scores of trials.
    totals : numpy.ndarray
        1, number of words, or whether a trial is of one speaker.
    """

    clips: tuple
    values: np.ndarray
    totals: np.ndarray

    def value(self, metric):
        """Return the metric of these predictions."""
        if metric == "eer":
            return error_curve(self.values, self.totals).eer()[0]
        return float(self.values.sum() / self.totals.sum())


def read_tested(folder, metric, conditioned=frozenset()):
    """Read the predictions of a fold.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    metric : str
        The run's metric.
    conditioned : collection of str
        Clips that the metric does not count.

    Returns
    -------
    Tested or None
        None: there are none, or the metric is not a sum over clips.

    Raises
    ------
    DataError
        The file is damaged.
    """
    file = folder / PREDICTIONS
    if metric not in COLUMNS or not file.is_file():
        return None
    require_unchanged(folder, PREDICTIONS)
    names = COLUMNS[metric]
    rows = read_csv(file, names, remedy(folder))
    try:
        counted = sorted(
            (clip, *counts)
            for clip, *counts in (_count(metric, names, r) for r in rows)
            if clip not in conditioned
        )
    except ValueError as error:
        raise damaged(file, error, remedy(folder)) from error
    if not counted:
        return None
    clips, values, totals = zip(*counted)
    return Tested(clips, np.array(values), np.array(totals))


def _count(metric, names, row):
    """Return the clip of a row, and its value and total; see ``Tested``."""
    first, second, *others = (row[name] for name in names)
    if metric == "accuracy":
        return first, float(second == others[0]), 1.0
    if metric == "eer":
        return (first, second), float(others[1]), others[0] == "1"
    words = len(second if metric == "cer" else second.split())
    return first, float(others[0]), float(words)


def fits(tested, value, metric):
    """Return whether predictions give the metric that a result has."""
    return abs(tested.value(metric) - value) < NEAR
