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
# Cyrillic and Greek letters that are drawn as Latin ones, as small letters or as
# capitals, other characters with a twin, and Greek ones drawn as Cyrillic ones
TWINS = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u0456\u0458\u0455\u0501\u04bb\u04cf\u051b\u051d"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5"
    "\u03c7\u0251\u0261\u2018\u2019\u02bc\u2212\u03b3\u03c0\u03c6",
    "abekmhopctyxijsdhlqwabezhiknoptyxag'''-\u0433\u043f\u0444",
)
# A mu beside another Greek letter is drawn as M; alone it is a unit's micro
MU = re.compile("(?<=[\u03b1-\u03c9])\u03bc|\u03bc(?=[\u03b1-\u03c9])")


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

    Case, invisible characters, kinds of blanks, underscores and hyphens, the
    zeros of ``01``, ``1.0`` and ``1.50``, and letters of another alphabet that
    are drawn alike make no difference.

    Example
    -------
    >>> appearance("Car  horn") == appearance("car_horn\u200b")
    True
    >>> appearance("01") == appearance("1.0") != appearance("-1")
    True
    """
    text = unicodedata.normalize("NFKC", label).casefold()
    text = "".join(
        "-" if unicodedata.category(c) == "Pd" else c
        for c in SHAPELESS.sub("", text)
        if unicodedata.category(c) != "Cf"
    )
    text = MU.sub("m", unicodedata.normalize("NFKD", text))
    text = unicodedata.normalize("NFKC", text.translate(TWINS)).strip()
    text = re.sub(r"(?<=\w)-(?=[^\W\d])", "_", text)  # but not a minus sign
    text = re.sub(r"[\s_]+", "_", text)
    if number := re.fullmatch(r"([+-]?)(?=\.?\d)(\d*)(\.\d*)?", text):
        sign, whole, part = number.groups("")
        text = sign.strip("+") + (whole.lstrip("0") or "0")
        text += part.rstrip("0").rstrip(".")
    return text


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
            "zeros around a number, invisible characters and letters of "
            "another alphabet that look the same."
        )
