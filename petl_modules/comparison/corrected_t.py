"""Corrected resampled t-test: is one method better than another?

Folds share training clips, so that their differences depend on each other, and
the variance of their mean is larger than ``variance / n``. The correction is
that of Nadeau and Bengio, "Inference for the generalization error", Machine
Learning 52 (2003), section 4, which Bouckaert and Frank (PAKDD 2004) apply to
repeated cross-validation. With a flat prior the mean has a Student posterior of
the same width: Corani and Benavoli, "A Bayesian approach for comparing
cross-validated algorithms on multiple data sets", Machine Learning 100 (2015),
equation 6.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95  # of all intervals
BETTER, EQUAL, WORSE = "better", "equal", "worse"
UNKNOWN = "cannot tell"


class Judged(NamedTuple):
    """What differences say of the mean difference.

    Arguments
    ---------
    mean : float
        The mean difference, positive if the first method is better.
    low, high : float
        Ends of the 95 % interval.
    p_value : float
        Of the two-sided test that there is no difference.
    p_better, p_equal, p_worse : float
        Posterior probabilities of a difference above the margin, within it,
        and below its negative.
    """

    mean: float
    low: float
    high: float
    p_value: float
    p_better: float
    p_equal: float
    p_worse: float


def corrected_t(differences, ratio, margin):
    """Judge the mean of differences, each of one fold and seed.

    ``t = mean / sqrt(variance (1 / n + n_test / n_train))`` has a Student
    distribution with ``n - 1`` degrees of freedom if there is no difference.

    Arguments
    ---------
    differences : array
        Of the metric, positive if the first method is better, ``[n]``.
    ratio : float
        ``n_test / n_train``, numbers of clips. 0: the plain paired t-test.
    margin : float
        Differences within it count as equal.

    Returns
    -------
    Judged or None
        None: nothing can be said, as there are fewer than two differences, or
        all are the same.

    Example
    -------
    >>> judged = corrected_t([0.02, 0.04, 0.03, 0.05, 0.01], 1 / 3, 0.01)
    >>> f"{judged.mean:.2f} [{judged.low:.3f}, {judged.high:.3f}]"
    '0.03 [-0.002, 0.062]'
    """
    differences = np.asarray(differences, np.float64)
    n = len(differences)
    if n < 2 or np.ptp(differences) < 1e-12:
        return None
    mean = differences.mean()
    scale = np.sqrt(differences.var(ddof=1) * (1 / n + ratio))
    half = scale * special.stdtrit(n - 1, (1 + LEVEL) / 2)
    worse = special.stdtr(n - 1, (-margin - mean) / scale)
    better = special.stdtr(n - 1, (mean - margin) / scale)
    return Judged(
        *map(
            float,
            (
                mean,
                mean - half,
                mean + half,
                2 * special.stdtr(n - 1, -abs(mean) / scale),
                better,
                max(0.0, 1 - better - worse),
                worse,
            ),
        )
    )


def verdict(low, high, margin):
    """Return what an interval says of a difference, and a margin.

    Arguments
    ---------
    low, high : float
        Ends of the interval.
    margin : float
        Differences within it count as equal.

    Returns
    -------
    str
        ``better`` or ``worse``: all of the interval is beyond the margin.
        ``equal``: all of it is within. Else ``cannot tell``.

    Example
    -------
    >>> verdict(0.012, 0.05, 0.01), verdict(0.002, 0.05, 0.01)
    ('better', 'cannot tell')
    """
    if low > margin:
        return BETTER
    if high < -margin:
        return WORSE
    if -margin <= low and high <= margin:
        return EQUAL
    return UNKNOWN
