"""Names in a data folder: labels that look alike, files of the system."""

import re
import unicodedata

from petl_modules.utils import DataError, listed

# What Windows, macOS and network drives leave in folders, in lower case
SYSTEM_FILES = {
    "$recycle.bin",
    "__macosx",
    "@eadir",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "system volume information",
    "thumbs.db",
}
# Characters without a shape that are no format characters (category Cf)
SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f"
    "\uffa0\U000e0100-\U000e01ef]"
)
# Cyrillic and Greek letters that are drawn as Latin ones, apostrophes, a minus
TWINS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u03bf"
    "\u2018\u2019\u02bc\u2212",
    "aeopcyxijso'''-",
)


def is_system_file(name):
    """Return whether an entry of a folder is hidden or made by the system.

    Example
    -------
    >>> [is_system_file(name) for name in ("._dog.wav", "Thumbs.db", "dog.wav")]
    [True, True, False]
    """
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def appearance(label):
    """Return a text that is the same for labels that look alike.

    Case, invisible characters, kinds of blanks, underscores and hyphens, and
    the zeros of ``01`` and ``1.0`` make no difference.

    Example
    -------
    >>> appearance("Car  horn") == appearance("car_horn\u200b")
    True
    >>> appearance("01") == appearance("1.0") != appearance("-1")
    True
    """
    text = unicodedata.normalize("NFKC", label).lower()
    text = "".join(
        "-" if unicodedata.category(c) == "Pd" else c
        for c in SHAPELESS.sub("", text)
        if unicodedata.category(c) != "Cf"
    )
    text = text.translate(TWINS).strip()
    text = re.sub(r"(?<=\w)-(?=[^\W\d])", "_", text)  # but not a minus sign
    text = re.sub(r"[\s_]+", "_", text)
    if number := re.fullmatch(r"([+-]?)0*(\d+)(?:\.0*)?", text):
        text = number[1].strip("+") + number[2]
    return unicodedata.normalize("NFKC", text)


def refuse_look_alikes(records, key="label"):
    """Refuse labels that look alike: they would become two classes.

    Arguments
    ---------
    records : dict
        Records by id.
    key : str
        The key of the label: ``label`` or ``speaker``.

    Raises
    ------
    DataError
        Names such labels, with escapes where they are needed to tell them
        apart, and a clip of each.

    Example
    -------
    >>> refuse_look_alikes(
    ...     {"1": {"label": "dog"}, "2": {"label": "Dog"}}
    ... )  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    petl_modules.utils.errors.DataError: some labels look alike:
      'Dog' (such as 2), 'dog' (such as 1)
    ...
    """
    groups = {}
    for clip, record in records.items():
        label = record[key]
        groups.setdefault(appearance(label), {}).setdefault(label, clip)
    lines = [
        ", ".join(
            f"{ascii(label)} (such as {clip})" for label, clip in sorted(found)
        )
        for found in (group.items() for group in groups.values())
        if len(found) > 1
    ]
    if lines:
        raise DataError(
            f"some {key}s look alike:\n{listed(lines)}\n"
            f"Give clips of one class one {key}. Names of different classes "
            "must differ in more than case, blanks, underscores, hyphens, "
            "leading zeros and invisible characters."
        )
