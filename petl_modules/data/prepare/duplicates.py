"""The same sound under two names: two classes, or training and test."""

from speechbrain.utils.logger import get_logger

from petl_modules.utils import DataError, listed

logger = get_logger(__name__)


def check_duplicates(records, published=False):
    """Refuse a sound with two labels; warn of sounds in several parts.

    Where no record has a label, a sound may not have two speakers. Clips are
    the same sound if rate and samples of the part that is used are equal,
    whatever the format of the files; links are found as well.

    Arguments
    ---------
    records : dict
        The manifest.
    published : bool
        Whether the records are a whole published dataset. Its labels are part
        of the protocol, so that contradictions are a warning.

    Raises
    ------
    DataError
        One sound has several labels or speakers; names them and the clips.
    """
    by_sound = {}
    for clip, record in records.items():
        by_sound.setdefault(sound_of(record), []).append((clip, record))
    groups = [group for group in by_sound.values() if len(group) > 1]
    labelled = any("label" in record for record in records.values())
    key = "label" if labelled else "speaker"
    conflicts = _differing(groups, lambda record: record.get(key))
    if conflicts:
        text = (
            f"{len(conflicts)} sounds have several {key}s. Equal samples in "
            "what is used of a clip (of silence, too) are one sound:\n"
            f"{listed(conflicts, limit=20)}"
        )
        if not published:
            raise DataError(
                f"{text}\nRemove the clips with a wrong {key} (from the list, "
                "if there is one), then run the same command again; or use "
                "more of clips that are equal, or silent, in the beginning "
                "alone."
            )
        logger.warning(f"{text}\nThey are used as published.")
    if leaks := _differing(groups, _part):
        logger.warning(
            f"{len(leaks)} sounds are in several parts, so test results "
            f"come out too good:\n{listed(leaks, limit=5)}"
        )


def sound_of(record):
    """Return the digest of what is used of a record's clip, or None.

    Example
    -------
    >>> sound_of({"digest": "whole", "used_digest": "beginning"})
    'beginning'
    """
    return record.get("used_digest") or record.get("digest")


def _differing(groups, value_of):
    """Return a line for each group of clips that differ in a value."""
    lines = []
    for group in groups:
        first = {}  # a clip for each value
        for clip, record in group:
            first.setdefault(value_of(record), clip)
        if len(first) > 1:
            lines.append(
                " = ".join(f"{clip} ({value})" for value, clip in first.items())
            )
    return lines


def _part(record):
    """Return the part of a clip: its split, fold or session."""
    for key in ("split", "fold", "session"):
        if key in record:
            return f"{key} {record[key]}"
    return None
