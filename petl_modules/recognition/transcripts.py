"""The labels of the units that training texts are made of."""

from petl_modules.recognition.pieces import SPACE, train_pieces
from petl_modules.recognition.units import BLANK, Units
from petl_modules.utils import DataError


def characters_of(texts):
    """Return the labels of all characters of some texts.

    Arguments
    ---------
    texts : iterable of str
        The training texts.

    Returns
    -------
    list of str
        The blank, the space, then the others, sorted.

    Example
    -------
    >>> characters_of(["ab", "b c"])
    ['<blank>', ' ', 'a', 'b', 'c']
    """
    return [BLANK, " ", *sorted({*"".join(texts)} - {" "})]


def phones_of(texts):
    """Return the labels of all phones of some texts.

    Arguments
    ---------
    texts : iterable of str
        Phones with spaces between them.

    Returns
    -------
    list of str
        The blank, then the phones, sorted.

    Example
    -------
    >>> phones_of(["W AH1 N", "T UW1"])
    ['<blank>', 'AH1', 'N', 'T', 'UW1', 'W']
    """
    return [BLANK, *sorted({p for text in texts for p in text.split()})]


def make_labels(kind, texts, size=None, folder=None):
    """Return the labels of the units of training texts; see ``Units``.

    Arguments
    ---------
    kind : str
        ``characters``, ``phones`` or ``sentencepiece``.
    texts : list of str
        The training texts, or their phones.
    size, folder
        Of ``sentencepiece`` alone, see ``train_pieces``.

    Returns
    -------
    list of str
        The blank comes first.

    Raises
    ------
    DataError
        A text has a character that stands for the space between words.
    HparamsError
        There is no such kind; or see ``train_pieces``.
    """
    if kind == "characters":
        return characters_of(texts)
    if kind == "phones":
        return phones_of(texts)
    if kind == "sentencepiece":
        if marked := [text for text in texts if SPACE in text]:
            raise DataError(
                f"{marked[0]!r} has the character {SPACE!r}, which stands for "
                "the space in front of a word. Take it out of the transcripts"
            )
        return [BLANK, *train_pieces(texts, size, folder)]
    return Units(kind, []).names  # refuses it
