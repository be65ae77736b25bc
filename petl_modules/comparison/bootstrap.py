"""Paired bootstrap over clusters of test clips, and over trainings.

Clips of one recording or speaker are not independent: whole clusters are drawn
with replacement, as in Field and Welsh, "Bootstrapping clustered data", JRSS B
69 (2007); of trials, which have two clips each, as in Poh and Bengio,
"Estimating the confidence interval of expected performance curve in biometric
authentication using joint bootstrap", ICASSP 2007. Trainings (the seeds, and
draws of few clips) are drawn with replacement in each resample, too.
"""

import numpy as np

from petl_modules.comparison.corrected_t import LEVEL

RESAMPLES = 1000
BLOCK = 20_000_000  # bytes of one array of weights
SEED = 0  # the same results give the same interval


def bootstrap_shares(first, second, totals):
    """Return the interval of the difference of two shares.

    A share is ``sum of counts / sum of totals``, of all clips: such as correct
    clips of clips, or wrong words of words.

    Arguments
    ---------
    first, second : array
        Counts of two methods, ``[trainings, clusters]``.
    totals : array
        What they are counts of, ``[trainings, clusters]``. 0 where a training
        has not tested a cluster.

    Returns
    -------
    tuple of float
        Ends of the 95 % interval of ``first - second``.
    """
    gains = np.asarray(first, np.float64) - second
    totals = np.asarray(totals, np.float64)
    found = []
    for weights, drawn in _resamples(*gains.shape, gains.shape[1]):
        sums = ((drawn @ table * weights).sum(1) for table in (gains, totals))
        with np.errstate(invalid="ignore"):  # nothing tested was drawn
            found.append(np.divide(*sums))
    return _interval(found)


def bootstrap_eer(first, second, same, sides):
    """Return the interval of the difference of two equal error rates.

    A trial of two clusters counts as often as both are drawn: the product. A
    trial within a cluster counts as often as that is drawn.

    Arguments
    ---------
    first, second : array
        Scores of two methods, ``[trainings, trials]``.
    same : array
        Whether a trial is of one speaker, ``[trials]``.
    sides : tuple of array
        The clusters of both clips of each trial, ``[trials]``, from 0.

    Returns
    -------
    tuple of float
        Ends of the 95 % interval of the mean of ``first - second``.
    """
    one, other = sides
    clusters = int(max(one.max(), other.max())) + 1
    orders = [[_order(scores) for scores in side] for side in (first, second)]
    found = []
    for weights, drawn in _resamples(len(first), clusters, len(same)):
        trials = weights[:, one] * np.where(one == other, 1, weights[:, other])
        rates = [
            np.stack([_eers(trials, same, *order) for order in side], 1)
            for side in orders
        ]
        found.append(((rates[0] - rates[1]) * drawn).sum(1) / drawn.sum(1))
    return _interval(found)


def _resamples(trainings, clusters, width):
    """Yield how often each cluster and each training is drawn, in blocks."""
    chance = np.random.default_rng(SEED)
    size = max(1, min(RESAMPLES, BLOCK // (8 * width)))
    for start in range(0, RESAMPLES, size):
        block = min(size, RESAMPLES - start)
        yield tuple(
            chance.multinomial(n, np.full(n, 1 / n), block).astype(np.float64)
            for n in (clusters, trainings)
        )


def _interval(found):
    """Return the ends of the interval of resampled values.

    Resamples without any tested clip, target or non-target have no value.
    """
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    low, high = np.nanpercentile(np.concatenate(found), tails)
    return float(low), float(high)


def _order(scores):
    """Return the order of scores, the highest first, and where they end.

    Equal scores are accepted together: the last of them is a vertex.
    """
    order = np.argsort(-scores, kind="stable")
    vertices = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return order, vertices


def _eers(weights, same, order, vertices):
    """Return the equal error rate of trials for each row of their weights.

    It is that of ``petl_modules.verification.ErrorCurve.eer``, where all
    weights are 1.
    """
    weights, same = weights[:, order], same[order]
    accepts = np.cumsum(weights * ~same, 1)[:, vertices]
    hits = np.cumsum(weights * same, 1)[:, vertices]
    with np.errstate(invalid="ignore", divide="ignore"):
        accepts = accepts / accepts[:, -1:]
        rejects = 1 - hits / hits[:, -1:]
    accepts = np.pad(accepts, ((0, 0), (1, 0)))
    rejects = np.pad(rejects, ((0, 0), (1, 0)), constant_values=1.0)
    after = np.maximum(np.argmax(accepts >= rejects, 1), 1)
    rows = np.arange(len(weights))
    gap = rejects[rows, after - 1] - accepts[rows, after - 1]
    step = accepts[rows, after] - rejects[rows, after] + gap
    share = gap / step
    before, behind = accepts[rows, after - 1], accepts[rows, after]
    return before + share * (behind - before)
