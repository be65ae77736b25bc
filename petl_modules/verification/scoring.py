"""Scores of trials from the embeddings of their clips."""

import numpy as np

from petl_modules.utils import DataError, HparamsError, listed

AT_ONCE = 16384  # trials, to bound memory
SCORINGS = ("cosine", "segment_distance")
SCORE_NORMS = ("none", "as-norm")


def unit_vectors(clips, embeddings):
    """Return one direction for each window of a clip.

    Arguments
    ---------
    clips : list of str
        Ids of the clips.
    embeddings : numpy.ndarray
        ``[clips, windows, size]``.

    Returns
    -------
    numpy.ndarray
        The same of length 1, in float64.

    Raises
    ------
    DataError
        If an embedding is not finite, or is zero; names the clips.
    """
    embeddings = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    bad = ~(np.isfinite(lengths) & (lengths > 0)).all((1, 2))
    if bad.any():
        names = [clip for clip, is_bad in zip(clips, bad) if is_bad]
        raise DataError(
            f"the embeddings of {len(names)} clips have no direction (zero, or "
            f"not finite):\n{listed(names, limit=20)}\nAre the clips silent? "
            "Otherwise training has diverged: try a smaller lr"
        )
    return embeddings / lengths


def clip_vectors(units):
    """Return the direction of each clip, the mean of those of its windows.

    Arguments
    ---------
    units : numpy.ndarray
        See ``unit_vectors``.

    Returns
    -------
    numpy.ndarray
        ``[clips, size]``, of length 1.
    """
    means = units.mean(1)
    return means / np.linalg.norm(means, axis=-1, keepdims=True)


def speaker_vectors(units, speakers):
    """Return the direction of each speaker, the mean of those of the clips.

    Arguments
    ---------
    units : numpy.ndarray
        See ``unit_vectors``.
    speakers : list of str
        The speaker of each clip.

    Returns
    -------
    numpy.ndarray
        ``[speakers, size]``, of length 1, sorted by the speakers' names.
    """
    vectors, speakers = clip_vectors(units), np.array(speakers)
    means = [vectors[speakers == name].mean(0) for name in np.unique(speakers)]
    return clip_vectors(np.stack(means)[:, None])


def score_trials(units, first, second, scoring="cosine"):
    """Score trials.

    Arguments
    ---------
    units : numpy.ndarray
        See ``unit_vectors``.
    first, second : numpy.ndarray
        Places of the trials' clips in ``units``, ``[trials]``.
    scoring : str
        ``cosine``: of the clips' directions. ``segment_distance``: minus the
        mean Euclidean distance between each window of one clip and each of
        the other, as in https://arxiv.org/abs/2211.02227.

    Returns
    -------
    numpy.ndarray
        ``[trials]``, the higher the more alike.

    Example
    -------
    >>> units = unit_vectors(["a", "b"], np.eye(2)[:, None])
    >>> score_trials(units, np.array([0, 0]), np.array([0, 1])).tolist()
    [1.0, 0.0]
    """
    scores = np.empty(len(first))
    if scoring == "cosine":
        units = clip_vectors(units)
    for start in range(0, len(first), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        one, other = units[first[part]], units[second[part]]
        if scoring == "cosine":
            scores[part] = (one * other).sum(-1)
        else:
            cosines = one @ other.swapaxes(1, 2)
            distances = np.sqrt(np.clip(2 - 2 * cosines, 0, None))
            scores[part] = -distances.mean((1, 2))
    return scores


def check_scoring(scoring, score_norm):
    """Refuse a scoring or a normalisation of scores that there is not.

    Arguments
    ---------
    scoring : str
        See ``score_trials``.
    score_norm : str
        ``none``, or ``as-norm``, see ``as_norm``.

    Raises
    ------
    HparamsError
        There is no such choice, or they do not go together.
    """
    for key, value, choices in (
        ("scoring", scoring, SCORINGS),
        ("score_norm", score_norm, SCORE_NORMS),
    ):
        if value not in choices:
            raise HparamsError(
                f"{key} '{value}' is none of: {', '.join(choices)}"
            )
    if score_norm == "as-norm" and scoring != "cosine":
        raise HparamsError("score_norm as-norm goes with --scoring cosine")


def as_norm(scores, vectors, first, second, cohort, top=300):
    """Normalise scores by those of a cohort, symmetric and adaptive.

    Each clip's scores with the cohort members nearest to it give a mean and a
    standard deviation; the normalised score is the mean over both clips
    (P. Matějka et al., "Analysis of Score Normalization in Multilingual
    Speaker Recognition", Interspeech 2017).

    Arguments
    ---------
    scores : numpy.ndarray
        Cosines of the trials, ``[trials]``.
    vectors : numpy.ndarray
        See ``clip_vectors``.
    first, second : numpy.ndarray
        See ``score_trials``.
    cohort : numpy.ndarray
        Directions of other speakers, ``[members, size]``.
    top : int
        How many members are near; all where there are fewer.

    Returns
    -------
    numpy.ndarray
        ``[trials]``.

    Raises
    ------
    DataError
        If the cohort has fewer than two members.
    """
    if len(cohort) < 2:
        raise DataError("a cohort of fewer than two speakers has no deviation")
    places = np.unique(np.append(first, second))
    means, deviations = np.empty((2, len(vectors)))
    for start in range(0, len(places), AT_ONCE):
        part = places[start : start + AT_ONCE]
        near = vectors[part] @ cohort.T
        near = -np.partition(-near, min(top, len(cohort)) - 1)[:, :top]
        means[part], deviations[part] = near.mean(1), near.std(1, ddof=1)
    sides = [
        (scores - means[side]) / deviations[side] for side in (first, second)
    ]
    return sum(sides) / 2
