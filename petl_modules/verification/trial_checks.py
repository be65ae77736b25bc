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


def check_trials(file, lines, trials, records, training_speakers=()):
    """Refuse trials that cannot test a model.

    Arguments
    ---------
    file : str or pathlib.Path
        The list.
    lines : list of int
        The line of each trial.
    trials : tuple
        Ids of the first and of the second clips, and ``Trials.same``.
    records : dict
        Of the trials' clips, by id. Labels are compared with ``speaker``, and
        clips that have the same file ``wav`` are one, where these are known.
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
    names = {}  # by file: another spelling is the same clip
    for clip in dict.fromkeys([*first, *second]):
        names.setdefault(records[clip].get("wav", clip), []).append(clip)
    number = {c: place for place, cs in enumerate(names.values()) for c in cs}
    names = [clips[0] for clips in names.values()]
    pairs = np.array([[number[c] for c in side] for side in (first, second)])
    speakers = [records[clip].get("speaker") for clip in names]
    found = []
    for place in np.flatnonzero(pairs[0] == pairs[1]):
        text = f"{first[place]!r} is compared with itself"
        if first[place] != second[place]:
            text += f", as {second[place]!r}"
        found.append((place, text))
    if same is not None:
        found += _wrong_labels(pairs, same, names, speakers)
        found += _two_labels(pairs, same, lines)
    problems = sorted((lines[place], text) for place, text in found)
    refuse_lines(file, problems, CORRECT)
    _refuse_trained(file, pairs, speakers, {*training_speakers})
    if same is not None and (same.all() or not same.any()):
        there, absent = ("target", "non-target")[:: 1 if same.all() else -1]
        raise DataError(
            f"{file}: all {len(same)} trials are {there} trials. Error rates "
            f"need both kinds: add {absent} trials"
        )


def _wrong_labels(pairs, same, names, speakers):
    """Yield place and problem of labels that the speakers contradict."""
    codes = {speaker: code for code, speaker in enumerate({*speakers})}
    one, other = np.array([codes[speaker] for speaker in speakers])[pairs]
    known = (one != codes.get(None, -1)) & (other != codes.get(None, -1))
    for place in np.flatnonzero(known & (same != (one == other))):
        one, other = pairs[:, place]
        yield (
            place,
            f"label {int(same[place])}, but {names[one]!r} is of speaker "
            f"{speakers[one]} and {names[other]!r} of {speakers[other]}",
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


def _refuse_trained(file, pairs, speakers, trained):
    """Refuse trials of speakers that the model is trained on."""
    among = np.array([speaker in trained for speaker in speakers])
    if among.any():
        known = {*speakers} & trained
        raise DataError(
            f"{file}: {among[pairs].any(0).sum()} of {pairs.shape[1]} trials "
            f"are of {len(known)} speakers that the model is trained on, such "
            f"as {min(known)}: error rates would come out too low. Give a list "
            "of other speakers. VoxCeleb1's lists E and H, of all its "
            "speakers, can only test a model that is trained on other data"
        )
