"""Transcripts: how they are written, and the units that they are made of."""

import unicodedata
from pathlib import Path

from petl_modules.recognition.pieces import SPACE, train_pieces
from petl_modules.recognition.units import BLANK, Units
from petl_modules.utils import DataError, listed, refusal


def clean(text):
    """Return a text with single spaces, and its characters composed.

    Arguments
    ---------
    text : str
        A transcript.

    Returns
    -------
    str

    Example
    -------
    >>> clean(" cafe\u0301  au lait ") == "caf\xe9 au lait"
    True
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def split_line(line, place):
    """Split a line of a list of transcripts: an id, and the text.

    Arguments
    ---------
    line : str
        ``103-1240-0000 CHAPTER ONE``.
    place : str
        File and number of the line, for the error.

    Returns
    -------
    clip, text : str

    Raises
    ------
    DataError
        One of them is missing.

    Example
    -------
    >>> split_line("103-1240-0000 CHAPTER ONE", "103-1240.trans.txt:1")
    ('103-1240-0000', 'CHAPTER ONE')
    """
    clip, _, text = clean(line).partition(" ")
    if not text:
        missing = f"'{clip}' has no transcript" if clip else "it is empty"
        raise DataError(
            f"{place}: {missing}. A line is an id, a space and the text"
        )
    return clip, text


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


def check_transcripts(records, units):
    """Refuse clips whose transcript is empty or has unknown units.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.
    units : Units
        The units of the training part.

    Raises
    ------
    DataError
        Names all such clips.
    """
    problems = []
    for clip, record in records.items():
        try:
            units.encode(record[units.key])
        except DataError as error:
            problems.append(f"{clip}: {error}")
    if problems:
        raise DataError(
            f"{len(problems)} of {len(records)} transcripts cannot be "
            f"recognised:\n{listed(problems, limit=20)}\nCorrect them, or "
            "leave these clips out"
        )


def read_lexicon(path):
    """Read a lexicon: a word and its phones on each line.

    Arguments
    ---------
    path : str or pathlib.Path
        ``ZERO Z IH1 R OW0``, with any spaces. Of a word with several
        pronunciations, the first one counts.

    Returns
    -------
    dict
        Phones with single spaces between them, by word.

    Raises
    ------
    DataError
        The file cannot be read, or a line has no phones; names the line.
    """
    path = Path(path)
    remedy = "give a lexicon with a word and its phones on each line"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise refusal(path, error, remedy) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text in UTF-8; {remedy}") from error
    lexicon = {}
    for number, line in enumerate(lines, 1):
        word, _, phones = clean(line).partition(" ")
        if not phones and word:
            raise DataError(f"{path}:{number}: '{word}' has no phones")
        lexicon.setdefault(word, phones)
    lexicon.pop("", None)
    return lexicon


def pronounce(texts, lexicon, source):
    """Return the phones of texts by a lexicon.

    Arguments
    ---------
    texts : dict
        Texts by clip.
    lexicon : dict
        Phones by word.
    source : str or pathlib.Path
        The lexicon's file, for the error.

    Returns
    -------
    dict
        Phones by clip.

    Raises
    ------
    DataError
        Words are not in the lexicon; names all of them.

    Example
    -------
    >>> pronounce({"a": "ONE TWO"}, {"ONE": "W AH1 N", "TWO": "T UW1"}, "lexicon")
    {'a': 'W AH1 N T UW1'}
    """
    words = {word for text in texts.values() for word in text.split()}
    if unknown := sorted(words - lexicon.keys()):
        raise DataError(
            f"{source} has no pronunciation of {len(unknown)} words:\n"
            + listed(unknown)
            + "\nAdd them, each with its phones on a line"
        )
    return {
        clip: " ".join(lexicon[word] for word in text.split())
        for clip, text in texts.items()
    }
