"""Error rates of trials: equal error rate and minimum detection cost.

The curve of both errors has a vertex for each score that occurs, and is
straight between vertices. NIST's evaluation plans define the detection cost
(https://www.nist.gov/itl/iad/mig/speaker-recognition).
"""

from typing import NamedTuple

import numpy as np

from petl_modules.utils import DataError


class ErrorCurve(NamedTuple):
    """Both error rates of the decision ``score >= threshold``.

    Arguments
    ---------
    false_accepts : numpy.ndarray
        Share of the non-target trials that are accepted, ``[vertices]``,
        rising from 0.
    false_rejects : numpy.ndarray
        Share of the target trials that are rejected, falling from 1.
    thresholds : numpy.ndarray
        The thresholds, falling from infinity.

    Example
    -------
    >>> curve = error_curve([3.0, 1.0, 2.0, 0.0, 0.0], [1, 1, 0, 0, 0])
    >>> rate, threshold = curve.eer()
    >>> f"{rate:.4f} {threshold}"
    '0.3333 1.0'
    >>> curve.min_dcf()
    0.5
    """

    false_accepts: np.ndarray
    false_rejects: np.ndarray
    thresholds: np.ndarray

    def eer(self):
        """Return the equal error rate and the threshold next to it.

        Returns
        -------
        rate : float
            Where the two rates cross on the straight lines between vertices.
        threshold : float
            That of the first vertex at or behind the crossing.
        """
        after = int(np.argmax(self.false_accepts >= self.false_rejects))
        accepts = self.false_accepts[after - 1 : after + 1]
        rejects = self.false_rejects[after - 1 : after + 1]
        before, behind = rejects[0] - accepts[0], accepts[1] - rejects[1]
        share = before / (before + behind)
        rate = accepts[0] + share * (accepts[1] - accepts[0])
        return float(rate), float(self.thresholds[after])

    def min_dcf(self, p_target=0.01, c_miss=1.0, c_false_accept=1.0):
        """Return the smallest detection cost of all thresholds.

        Arguments
        ---------
        p_target : float
            Prior probability of a target trial.
        c_miss : float
            Cost of a rejected target.
        c_false_accept : float
            Cost of an accepted non-target.

        Returns
        -------
        float
            1 is the cost of the better system without scores, which accepts
            or rejects all trials.
        """
        miss = c_miss * p_target
        false_accept = c_false_accept * (1 - p_target)
        costs = miss * self.false_rejects + false_accept * self.false_accepts
        return float(costs.min() / min(miss, false_accept))


def error_curve(scores, same):
    """Return the error rates at each threshold, in O(n log n).

    Arguments
    ---------
    scores : array
        One score a trial, the higher the more alike, ``[trials]``.
    same : array
        Whether a trial is a target: both clips are of one speaker.

    Returns
    -------
    ErrorCurve

    Raises
    ------
    DataError
        If a score is not finite, or there are no targets or no non-targets.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if bad := int(np.count_nonzero(~np.isfinite(scores))):
        raise DataError(f"{bad} of {len(scores)} scores are not finite")
    targets = int(np.count_nonzero(same))
    if targets in (0, len(same)):
        raise DataError(
            f"error rates need trials of both kinds, and of {len(same)} trials "
            f"{targets} are of one speaker"
        )
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    accepted = np.cumsum(same)[last]  # targets among those up to a vertex
    return ErrorCurve(
        np.append(0.0, (last + 1 - accepted) / (len(same) - targets)),
        np.append(1.0, 1 - accepted / targets),
        np.append(np.inf, scores[last]),
    )


def rates_at(threshold, scores, same):
    """Return the shares of false accepts and false rejects of a threshold.

    Arguments
    ---------
    threshold : float
        Scores from it on are accepted.
    scores, same : array
        See ``error_curve``.

    Returns
    -------
    tuple of float

    Example
    -------
    >>> rates_at(0.5, [0.9, 0.2, 0.6, 0.1], [True, True, False, False])
    (0.5, 0.5)
    """
    accepted, same = np.asarray(scores) >= threshold, np.asarray(same, bool)
    return float(accepted[~same].mean()), float((~accepted)[same].mean())
