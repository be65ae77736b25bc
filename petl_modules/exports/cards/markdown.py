"""Markdown of texts that users have written."""

from petl_modules.utils import printable


def inline(text):
    """Return a text as one line that Markdown shows as it is.

    Arguments
    ---------
    text : object
        Such as the name of a class.

    Returns
    -------
    str

    Example
    -------
    >>> print(inline("dog & <cat>"))
    dog & \\<cat\\>
    """
    line = printable(" ".join(str(text).split()))
    for character in "\\`*_<>[]|#":
        line = line.replace(character, f"\\{character}")
    return line
