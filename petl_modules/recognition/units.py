"""Units of recognition: characters, phones, or pieces of words."""

from petl_modules.recognition.pieces import SPACE, Pieces
from petl_modules.utils import DataError, HparamsError

BLANK = "<blank>"  # the first of all names: no unit, or a pause between two
KINDS = ("characters", "phones", "sentencepiece")


class Units:
    """What a head's outputs stand for, and how texts are made of it.

    A text is written in characters, with a space between words; in phones,
    with a space between each two; or in pieces of words.

    Arguments
    ---------
    kind : str
        ``characters``, ``phones`` or ``sentencepiece``.
    labels : list of str
        The blank, then the units, as ``make_labels`` returns them. A piece of
        a word comes with a tab and the logarithm of its probability.

    Attributes
    ----------
    names : list of str
        The blank and the units, in the order of the head's outputs.
    key : str
        The records' key with the text that is recognised.

    Raises
    ------
    HparamsError
        There is no such kind, the first label is not the blank, or a label is
        repeated.

    Example
    -------
    >>> units = Units("characters", ["<blank>", " ", "a", "b"])
    >>> units.encode("ab a")
    [2, 3, 1, 2]
    >>> units.decode([2, 3, 1, 2])
    'ab a'
    >>> units.words([2, 3, 1, 2])
    [('ab', 0, 2), ('a', 3, 4)]
    """

    def __init__(self, kind, labels):
        if kind not in KINDS:
            raise HparamsError(
                f"units is '{kind}', which is none of: {', '.join(KINDS)}"
            )
        self.kind = kind
        self.key = "phones" if kind == "phones" else "text"
        self.pieces = None
        self.names = list(labels)
        if kind == "sentencepiece":
            self.pieces = Pieces(labels[1:])
            self.names = [*labels[:1], *self.pieces.scores]
        unique = len({*self.names}) == len(labels) > 1
        if not unique or self.names[0] != BLANK:
            raise HparamsError(
                f"labels of units must be {BLANK} and others, each once: "
                f"{self.names}"
            )
        self.indices = {name: i for i, name in enumerate(self.names)}

    def __len__(self):
        return len(self.names)

    def split(self, text):
        """Return the units of a text, of which some may not be known.

        Arguments
        ---------
        text : str
            Words, or phones, with single spaces between them.

        Returns
        -------
        list of str
        """
        if self.kind == "phones":
            return text.split()
        return self.pieces.split(text) if self.pieces else list(text)

    def encode(self, text):
        """Return the indices of a text's units.

        Arguments
        ---------
        text : str
            See ``split``.

        Returns
        -------
        list of int

        Raises
        ------
        DataError
            The text has no unit, or one that is not known; names it.
        """
        found = self.split(text)
        if unknown := sorted({*found} - {*self.names[1:]}):
            raise DataError(
                f"'{text}' has what is none of the {len(self) - 1} units of "
                f"the training texts: {', '.join(map(repr, unknown))}"
            )
        if not found:
            raise DataError("an empty text has no units to recognise")
        return [self.indices[name] for name in found]

    def words(self, indices):
        """Return the words, or phones, that units make.

        Arguments
        ---------
        indices : list of int
            Of units, without the blank.

        Returns
        -------
        list of tuple
            Each word, the place of its first unit in the list, and the place
            behind its last one.
        """
        found = []  # [word, start, stop]
        begin = True
        for place, name in enumerate(self.names[i] for i in indices):
            begin = begin or self.kind == "phones"
            begin = begin or (bool(self.pieces) and name.startswith(SPACE))
            part = name.removeprefix(SPACE) if self.pieces else name
            if not part or (part == " " and self.kind == "characters"):
                begin = True
            elif begin:
                found.append([part, place, place + 1])
                begin = False
            else:
                found[-1][0] += part
                found[-1][2] = place + 1
        return [tuple(word) for word in found]

    def decode(self, indices):
        """Return the text of units, with single spaces.

        Arguments
        ---------
        indices : list of int
            See ``words``.

        Returns
        -------
        str
        """
        return " ".join(word for word, *_ in self.words(indices))
