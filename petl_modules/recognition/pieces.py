"""Pieces of words: a unigram model of the training texts.

https://arxiv.org/abs/1804.10959
"""

import hashlib
import io
import json
import math
import re
from pathlib import Path

import sentencepiece

from petl_modules.utils import HparamsError, brief, read_json, write_json

SPACE = "\u2581"  # in front of the first piece of a word
LONGEST = 16  # characters of a piece, the library's own limit
FORM = {"pieces": [str]}


class Pieces:
    """Split texts into their most probable pieces.

    Arguments
    ---------
    lines : list of str
        Pieces, each with a tab and the logarithm of its probability.

    Attributes
    ----------
    scores : dict
        The logarithms by piece.

    Raises
    ------
    HparamsError
        A line has no number.

    Example
    -------
    >>> pieces = Pieces(["\u2581a\\t-1.0", "b\\t-2.5", "\u2581ab\\t-3.0"])
    >>> pieces.split("ab a") == ["\u2581ab", "\u2581a"]
    True
    """

    def __init__(self, lines):
        try:
            pairs = [line.split("\t") for line in lines]
            self.scores = {piece: float(score) for piece, score in pairs}
        except ValueError as error:
            raise HparamsError(
                "labels of pieces are a piece, a tab and a number: "
                f"{brief(error)}. Prepare the data again"
            ) from error

    def split(self, text):
        """Return the most probable pieces of a text.

        Arguments
        ---------
        text : str
            Words with single spaces between them.

        Returns
        -------
        list of str
            A character that no piece has stands alone.
        """
        marked = (SPACE + text).replace(" ", SPACE) if text else ""
        unknown = min(self.scores.values()) - 10
        best = [(0.0, 0)]  # of each beginning: score, start of the last piece
        for stop in range(1, len(marked) + 1):
            found = (-math.inf, stop)
            for start in range(max(0, stop - LONGEST), stop):
                known = self.scores.get(marked[start:stop])
                if known is None:
                    if stop - start > 1:
                        continue
                    known = unknown
                found = max(found, (best[start][0] + known, start))
            best.append(found)
        pieces, stop = [], len(marked)
        while stop:
            start = best[stop][1]
            pieces.append(marked[start:stop])
            stop = start
        return pieces[::-1]


def train_pieces(texts, size, folder=None):
    """Train a unigram model of pieces of words.

    It depends on the texts and the size, not on the texts' order.

    Arguments
    ---------
    texts : iterable of str
        The training texts.
    size : int
        Number of pieces. The blank comes in addition.
    folder : str or pathlib.Path or None
        Where the pieces are kept, in a file of these texts and this size: the
        next call reads it. None: nowhere.

    Returns
    -------
    list of str
        See ``Pieces``.

    Raises
    ------
    HparamsError
        The texts cannot be split into so many pieces, or so few.
    """
    texts = sorted(texts)
    facts = json.dumps([sentencepiece.__version__, size, texts])
    file = None
    if folder is not None:
        digest = hashlib.sha256(facts.encode()).hexdigest()
        file = Path(folder) / f"pieces-{digest[:16]}.json"
        if file.exists():
            return read_json(file, FORM, "Delete it")["pieces"]
    lines = _train(texts, size)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"pieces": lines})
    return lines


def _train(texts, size):
    """Return the pieces and their scores, by sentencepiece."""
    least = len({*SPACE.join(["", *texts]).replace(" ", SPACE)})
    if not size >= least:
        raise HparamsError(
            f"{size} pieces are too few for the training texts: at least "
            f"{least} are needed, one for each character"
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=size + 1,  # one is "unknown", left out below
            character_coverage=1.0,
            normalization_rule_name="identity",
            max_sentencepiece_length=LONGEST,
            max_sentence_length=1 << 30,  # of bytes; longer are left out
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        most = re.search(r"value <= (\d+)", str(error))
        reason = (
            f"give at most --pieces {int(most[1]) - 1}"
            if most
            else brief(error)
        )
        raise HparamsError(
            f"the training texts do not make {size} pieces: {reason}"
        ) from error
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [
        f"{trained.id_to_piece(i)}\t{trained.get_score(i)}"
        for i in range(1, len(trained))
    ]
