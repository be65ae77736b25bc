"""Columns and values that tell which clips belong together."""

import re
from collections import Counter

from speechbrain.utils.logger import get_logger

from petl_modules.data.prepare.names import appearance
from petl_modules.utils import listed

logger = get_logger(__name__)

WHO = (
    "speaker|spkr?|talker|subject|participant|patient|person|user|client|"
    "actor|singer|author|individual|animal"
)
WHAT = "recording|recordist|session|source|src|group|fs|yt|youtube|freesound"
# Such as speaker_id, speakerID, spk, src_file, fsID
TELLING = re.compile(
    f"({WHO}|{WHAT})s?[ _.-]?(ids?|no|nr|num|number|name|code|file)?", re.I
)
UNKNOWN = set(
    "na n/a nan none null nil unknown unk unspecified undefined missing ? - . "
    "other anonymous not_known not_available".split()
)


def warn_of_unused_columns(header, used, option):
    """Warn about columns that seem to tell what belongs together.

    Arguments
    ---------
    header : iterable
        The names of a list's columns.
    used : iterable
        The names of those that are used.
    option : str
        The option that takes a column for this.

    Example
    -------
    >>> warn_of_unused_columns(["path", "label"], ["path", "label"], "--by")
    """
    lines = [
        f"column {name!r}: if so, add {option} {name!r}"
        for name in header
        if name not in used and TELLING.fullmatch(name)
    ]
    if lines:
        logger.warning(
            "the list seems to tell which clips belong together (one speaker, "
            "one recording), and this is not used, so they may be in both "
            f"training and test:\n{listed(lines)}"
        )


def warn_of_unknown_groups(records, keys):
    """Warn about values that seem to mean "not known", and about none.

    Arguments
    ---------
    records : dict
        Records by id.
    keys : iterable
        The keys of what belongs together, such as ``speaker``.

    Example
    -------
    >>> warn_of_unknown_groups({"a": {"speaker": "eve"}}, ["speaker"])
    """
    for key in keys:
        values = Counter(record.get(key, "") for record in records.values())
        absent = values.pop("", 0)
        lines = [
            f"{key} {value!r} of {count} clips counts as ONE {key}"
            for value, count in values.items()
            if count > 1 and appearance(value) in UNKNOWN
        ]
        if lines:
            logger.warning(
                f"some values of {key} may mean 'not known':\n{listed(lines)}\n"
                "If so, leave the field empty: each such clip stands alone."
            )
        if values and absent:
            logger.warning(
                f"{absent} of {len(records)} clips have no {key}: each counts "
                f"as a {key} of its own, and may be in another part than "
                f"others of the same {key}"
            )
