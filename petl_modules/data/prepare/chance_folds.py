"""Folds by chance, in which clips that belong together stay together."""

import hashlib
from collections import Counter

from petl_modules.data.prepare.duplicates import sound_of
from petl_modules.data.prepare.names import appearance
from petl_modules.utils import DataError

TOGETHER = ("speaker", "group")  # equal values: one fold; as equal sounds


def make_folds(records, n_folds):
    """Assign the clips of every class to folds, in place.

    Clips of one ``speaker``, of one ``group`` or with the same sound (see
    ``sound_of``) get the same fold. Every class is spread as evenly as that
    allows; clips without one are a class. The draw depends on the ids alone.

    Arguments
    ---------
    records : dict
        Records by id; each gets its ``fold``.
    n_folds : int
        Number of folds.

    Raises
    ------
    DataError
        There are too few folds, or too few clips of a class that may be apart.

    Example
    -------
    >>> clips = {f"{i}.wav": {"label": "dog"} for i in range(4)}
    >>> for clip, speaker in zip(clips, ["eve", "bob", "eve", "tim"]):
    ...     clips[clip]["speaker"] = speaker
    >>> make_folds(clips, 3)
    >>> [record["fold"] for record in clips.values()]
    [1, 2, 1, 3]
    """
    if n_folds < 3:
        raise DataError(
            f"n_folds is {n_folds}: training, validation and test need 3"
        )
    groups = _groups(records)
    _check_sizes(records, groups, n_folds)
    in_class, in_all = Counter(), Counter()

    def crowd(fold):
        """Return how much a fold has of what the group has, for the least."""
        of_each = sum(n * in_class[fold, label] for label, n in labels.items())
        return of_each, in_all[fold], fold

    for group in groups:
        labels = Counter(_label(records[clip]) for clip in group)
        fold = min(range(1, n_folds + 1), key=crowd)
        in_all[fold] += len(group)
        for clip in group:
            records[clip]["fold"] = fold
            in_class[fold, _label(records[clip])] += 1


def _label(record):
    """Return a clip's class; of a task without classes, all have one."""
    return record.get("label", "all")


def _groups(records):
    """Return lists of clips that stay together, in the order of the draw."""
    first, above = {}, {}  # the first clip with a value; a clip's union

    def root(clip):
        while above.get(clip, clip) != clip:
            clip = above[clip]
        return clip

    for clip, record in records.items():
        values = {key: appearance(record.get(key, "")) for key in TOGETHER}
        for same in {**values, "sound": sound_of(record)}.items():
            if same[1]:
                other = first.setdefault(same, clip)
                above[root(clip)] = root(other)
    members = {}
    for clip in records:
        members.setdefault(root(clip), []).append(clip)

    def order(group):
        """The largest first; then class by class, so that folds are even."""
        names = sorted(group, key=lambda clip: (_label(records[clip]), clip))
        chance = hashlib.sha256(names[0].encode()).digest()
        return -len(group), _label(records[names[0]]), chance

    return sorted(members.values(), key=order)


def _check_sizes(records, groups, n_folds):
    """Check that every class has enough clips that may be apart."""
    found = Counter(
        label
        for group in groups
        for label in {_label(records[clip]) for clip in group}
    )
    few = {label: n for label, n in sorted(found.items()) if n < n_folds}
    if not few:
        return
    what, least = "clips", min(few.values())
    classes = any("label" in record for record in records.values())
    remedies = ["Add clips"]
    if least > 2:
        remedies.append(f"give --n_folds {least}")
    elif classes:
        remedies.append("leave these out")
    if len(groups) < len(records):
        what = "groups of clips (one speaker, group or sound)"
        remedies.append("list folds of your own")
    who, counts = "there are", str(least)
    if classes:
        who = "some classes have"
        counts = ", ".join(f"{label}: {n}" for label, n in few.items())
    raise DataError(
        f"{who} fewer {what} than the {n_folds} folds: {counts}. "
        f"{', or '.join(remedies)}"
    )
