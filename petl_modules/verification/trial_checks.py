"""Checks of a list of trials: names, labels and speakers."""

import numpy as np

from petl_modules.utils import DataError, listed

CORRECT = "Correct these lines, or give the list as it was published"


def refuse_lines(file, problems, remedy):
    """Raise one error with all problems of a list, if any.

    Arguments
    ---------
    file : str or pathlib.Path
        The list.
    problems : list
        ``(line, text)`` pairs.
    remedy : str
        What to do.

    Raises
    ------
    DataError
        One line for each of the first problems, ``file:line: text``.
    """
    if problems:
        texts = [f"{file}:{line}: {text}" for line, text in problems]
        raise DataError(
            f"Problems in the list of trials ({len(texts)}):\n"
            f"{listed(texts, limit=20)}\n{remedy}"
        )


def check_trials(file, lines, trials, clips, training_speakers=()):
    """Refuse trials that cannot test a model.

    Arguments
    ---------
    file : str or pathlib.Path
        The list.
    lines : list of int
        The line of each trial.
    trials : tuple
        Ids of the first and of the second clips, and ``Trials.same``.
    clips : dict
        Records by id. Labels are compared with ``speaker``, where it is known.
    training_speakers : iterable of str
        Speakers that the model is trained on.

    Raises
    ------
    DataError
        A clip is compared with itself, a label contradicts the speakers or
        the label of another line, a speaker is one of training, or there are
        no target or no non-target trials.
    """
    first, second, same = trials
    number = {clip: place for place, clip in enumerate({*first, *second})}
    pairs = np.array([[number[c] for c in side] for side in (first, second)])
    found = [
        (place, f"{first[place]!r} is compared with itself")
        for place in np.flatnonzero(pairs[0] == pairs[1])
    ]
    if same is not None:
        found += _wrong_labels(first, second, same, clips)
        found += _two_labels(pairs, same, lines)
    problems = sorted((lines[place], text) for place, text in found)
    refuse_lines(file, problems, CORRECT)
    _refuse_trained(file, first, second, clips, {*training_speakers})
    if same is not None and (same.all() or not same.any()):
        there, absent = ("target", "non-target")[:: 1 if same.all() else -1]
        raise DataError(
            f"{file}: all {len(same)} trials are {there} trials. Error rates "
            f"need both kinds: add {absent} trials"
        )


def _wrong_labels(first, second, same, clips):
    """Yield place and problem of labels that the speakers contradict."""
    for place, (one, other, label) in enumerate(zip(first, second, same)):
        speakers = [clips[clip].get("speaker") for clip in (one, other)]
        if None not in speakers and label != (speakers[0] == speakers[1]):
            yield (
                place,
                f"label {int(label)}, but {one!r} is of speaker {speakers[0]} "
                f"and {other!r} of {speakers[1]}",
            )


def _two_labels(pairs, same, lines):
    """Yield place and problem of pairs that have both labels."""
    low, high = np.sort(pairs, axis=0)
    _, group = np.unique(
        low.astype(np.int64) * (pairs.max() + 1) + high, return_inverse=True
    )
    targets = np.bincount(group, weights=same)
    both = (targets > 0) & (targets < np.bincount(group))
    above = {}
    for place in np.flatnonzero(both[group]):
        labels = above.setdefault(group[place], {})
        if (other := labels.get(not same[place])) is not None:
            text = f"the pair has the other label in line {lines[other]}"
            yield place, text
        labels.setdefault(bool(same[place]), place)


def _refuse_trained(file, first, second, clips, trained):
    """Refuse trials of speakers that the model is trained on."""
    known, count = set(), 0
    for pair in zip(first, second) if trained else ():
        speakers = {clips[clip].get("speaker") for clip in pair} & trained
        known |= speakers
        count += bool(speakers)
    if known:
        raise DataError(
            f"{file}: {count} of {len(first)} trials are of {len(known)} "
            f"speakers that the model is trained on, such as {min(known)}: "
            "error rates would come out too low. Give a list of other "
            "speakers. VoxCeleb1's lists E and H, of all its speakers, can "
            "only test a model that is trained on other data"
        )
