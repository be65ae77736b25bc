"""From pairs of predictions to the tables that a bootstrap draws from."""

import numpy as np

from petl_modules.comparison.bootstrap import bootstrap_eer, bootstrap_shares


def draw_shares(pairs, clusters):
    """Bootstrap the difference of shares of clips or words.

    Arguments
    ---------
    pairs : list of tuple
        Both results and both predictions of each fold, seed and draw.
    clusters : petl_modules.comparison.clusters.Clusters
        Which clips are drawn together.

    Returns
    -------
    tuple
        The interval, and the number of clusters.
    """
    trainings = _numbers((a.run.seed, a.draw) for a, _, _ in pairs)
    columns = _numbers(
        clusters.of.get(clip, clip)
        for _, _, (tested, _) in pairs
        for clip in tested.clips
    )
    sums = np.zeros((3, len(trainings), len(columns)))
    for a, _, (one, other) in pairs:
        row = trainings[a.run.seed, a.draw]
        places = [columns[clusters.of.get(clip, clip)] for clip in one.clips]
        for table, values in zip(sums, (one.values, other.values, one.totals)):
            np.add.at(table[row], places, values)
    return bootstrap_shares(*sums), len(columns)


def draw_trials(pairs, clusters):
    """Bootstrap the difference of equal error rates, of the same trials.

    Arguments
    ---------
    pairs : list of tuple
        Both results and both predictions of each fold, seed and draw.
    clusters : petl_modules.comparison.clusters.Clusters
        Which clips are drawn together.

    Returns
    -------
    tuple or None
        See ``draw_shares``. None: folds have different trials.
    """
    (one, _) = pairs[0][2]
    if any(tested.clips != one.clips for _, _, (tested, _) in pairs):
        return None
    sides = [
        [clusters.of.get(clip, clip) for clip in side]
        for side in zip(*one.clips)
    ]
    columns = _numbers(name for side in sides for name in side)
    places = tuple(np.array([columns[n] for n in side]) for side in sides)
    scores = ([tested[i].values for _, _, tested in pairs] for i in (0, 1))
    interval = bootstrap_eer(*scores, one.totals.astype(bool), places)
    return interval, len(columns)


def _numbers(names):
    """Number what occurs, each once."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}
