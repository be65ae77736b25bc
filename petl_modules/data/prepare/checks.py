"""Check a dataset's counts, and that its parts share nothing."""

import os
from collections import Counter
from pathlib import Path

from speechbrain.utils.logger import get_logger

from petl_modules.data.prepare.names import appearance
from petl_modules.utils import DataError, listed, show

logger = get_logger(__name__)


def absolute(data_folder):
    """Return a folder's absolute path, without resolving links."""
    return Path(os.path.abspath(data_folder))


def check_counts(name, counts, expected, allow_partial):
    """Compare counts with the full dataset's, or print the counts of a subset.

    Arguments
    ---------
    name : str
        The dataset.
    counts : dict
        A number, or a dict of numbers, by what is counted.
    expected : dict
        The full dataset's counts, for some or all keys of ``counts``.
    allow_partial : bool
        Print the counts and do not compare them.

    Raises
    ------
    DataError
        If the counts differ.

    Example
    -------
    >>> check_counts("Set", {"clips": 3, "parts": {"a": 1, "b": 2}}, {}, True)
    A part of Set: 3 clips; parts a: 1, b: 2
    """
    if allow_partial:
        show(f"A part of {name}: {_as_text(counts)}")
        return
    found, wanted = {}, {}
    for what, number in expected.items():
        if isinstance(number, dict):  # report only the entries that differ
            keys = {**number, **counts[what]}
            pairs = {
                k: (counts[what].get(k, 0), number.get(k, 0)) for k in keys
            }
            pairs = {k: pair for k, pair in pairs.items() if pair[0] != pair[1]}
            found[what] = {k: pair[0] for k, pair in pairs.items()}
            wanted[what] = {k: pair[1] for k, pair in pairs.items()}
        elif counts[what] != number:
            found[what], wanted[what] = counts[what], number
    if any(wanted.values()):
        raise DataError(
            f"{name} does not hold the whole dataset. Found: {_as_text(found)}. "
            f"Expected: {_as_text(wanted)}. Fetch it again, or give "
            "--allow_partial True to use a subset."
        )


def _as_text(counts):
    """Return counts as text; of a long list, the smallest and the largest."""
    texts = []
    for what, number in counts.items():
        if not isinstance(number, dict):
            texts.append(f"{number} {what}")
        elif len(number) > 12:
            low, high = min(number.values()), max(number.values())
            texts.append(f"{len(number)} {what} of {low} to {high}")
        elif number:
            each = ", ".join(f"{k}: {n}" for k, n in number.items())
            texts.append(f"{what} {each}")
    return "; ".join(texts)


def count(records, key):
    """Count the records with each value of a key, sorted by value."""
    return dict(sorted(Counter(r[key] for r in records.values()).items()))


def warn_of_leaks(records, key, part):
    """Warn about recordings or speakers that are in more than one part.

    Arguments
    ---------
    records : dict
        Records by id.
    key : str
        A key whose clips should stay together: ``recording``, ``speaker``.
    part : str
        The key of the part, ``fold`` or ``split``.
    """
    parts, names = {}, {}
    for record in records.values():
        same = appearance(record[key])
        names.setdefault(same, record[key])
        parts.setdefault(same, set()).add(record[part])
    leaks = [
        f"{key} {names[same]!r} is in {part}s "
        f"{', '.join(map(str, sorted(found)))}"
        for same, found in parts.items()
        if len(found) > 1
    ]
    if leaks:
        logger.warning(
            f"clips of one {key} are in several {part}s, so test "
            f"results come out too good:\n{listed(leaks)}"
        )
