"""Text on the terminal: names come from others and may hold anything."""

import json
import re
import sys

from speechbrain.utils.distributed import if_main_process
from tqdm import tqdm

# Control characters, halves of characters, separators of lines, and marks that
# turn the direction of the text around them
ACTIVE = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def printable(text, keep=""):
    """Escape the characters that act on a terminal instead of being shown.

    Arguments
    ---------
    text : object
        A text, or what has one: a path, an error.
    keep : str
        Characters that are not escaped, such as line feeds.

    Returns
    -------
    text : str

    Example
    -------
    >>> print(printable("caf\xe9\\x1b[2J"))
    caf\xe9\\x1b[2J
    """
    return ACTIVE.sub(
        lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1],
        str(text),
    )


def fail(error):
    """End the program with an error as its message.

    Arguments
    ---------
    error : Exception or str
        What went wrong, and the remedy.

    Raises
    ------
    SystemExit
    """
    sys.exit(printable(f"error: {error}", keep="\n"))


def show(text, stream=None):
    """Print lines on the terminal, in the main process alone.

    Progress bars stay intact. What the terminal cannot show is escaped.

    Arguments
    ---------
    text : str
        The lines.
    stream : file or None
        Where they go. None: the standard output.

    Example
    -------
    >>> show("dog\\x07")
    dog\\x07
    """
    if not if_main_process():
        return
    stream = sys.stdout if stream is None else stream
    encoding = _encoding(stream)
    text = printable(text, keep="\n\t")
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    tqdm.write(text, file=stream)
    stream.flush()  # a pipe would keep the lines back


def show_json(content, stream=None):
    """Print an object as a line of JSON, any alphabet as itself.

    What the terminal cannot show is escaped as JSON does.

    Arguments
    ---------
    content : object
        Plain data.
    stream : file or None
        See ``show``.

    Example
    -------
    >>> show_json({"text": "caf\xe9\x7f"})
    {"text": "caf\xe9\\u007f"}
    """
    encoding = _encoding(sys.stdout if stream is None else stream)

    def escaped(character):
        known = character.encode(encoding, "ignore")
        if known and not ACTIVE.match(character):
            return character
        return json.dumps(character)[1:-1]

    text = json.dumps(content, ensure_ascii=False)
    show("".join(map(escaped, text)), stream)


def _encoding(stream):
    """Return the encoding of a stream."""
    return getattr(stream, "encoding", None) or "utf-8"
