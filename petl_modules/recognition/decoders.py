"""Decoders: from logits of frames to units and words."""

import importlib.util
from pathlib import Path

import torch
from speechbrain.decoders.ctc import CTCBeamSearcher

from petl_modules.recognition.pieces import SPACE
from petl_modules.utils import HparamsError

KINDS = ("greedy", "beam")
NEEDED = ("kenlm", "pygtrie")  # of a language model


class GreedyDecoder:
    """Take the best unit of each frame; repeats are one, blanks none.

    Arguments
    ---------
    units : petl_modules.recognition.Units
        What the logits stand for.

    Example
    -------
    >>> from petl_modules.recognition import Units
    >>> decoder = GreedyDecoder(Units("characters", ["<blank>", " ", "a", "b"]))
    >>> path = torch.tensor([[2, 2, 0, 2, 1, 3, 3]])
    >>> decoder(torch.nn.functional.one_hot(path).float())
    ['aa b']
    >>> decoder.words(torch.nn.functional.one_hot(path).float())
    [[('aa', 0, 4), ('b', 5, 7)]]
    """

    def __init__(self, units):
        self.units = units

    def __call__(self, logits, mask=None):
        """Return the texts of clips.

        Arguments
        ---------
        logits : torch.Tensor
            ``[batch, time, units]``.
        mask : torch.Tensor or None
            True for real frames, which come first, ``[batch, time]``. None:
            all are real.

        Returns
        -------
        list of str
        """
        return [text_of(words) for words in self.words(logits, mask)]

    def words(self, logits, mask=None):
        """Return the words, or phones, of clips, and when they were said.

        Arguments
        ---------
        logits, mask
            See ``__call__``.

        Returns
        -------
        list of list of tuple
            Of each clip: the words, each with its first frame and the one
            behind its last.
        """
        best = logits.float().argmax(-1).cpu()
        found = []
        for path, frames in zip(best, frame_counts(logits, mask)):
            runs = torch.unique_consecutive(path[:frames], return_counts=True)
            names, counts = (run.tolist() for run in runs)
            tokens, start = [], 0
            for name, count in zip(names, counts):
                if name:
                    tokens.append((name, start, start + count))
                start += count
            words = self.units.words([name for name, *_ in tokens])
            found.append(
                [(w, tokens[a][1], tokens[b - 1][2]) for w, a, b in words]
            )
        return found


class BeamDecoder:
    """Search for the most probable text, by SpeechBrain's ``CTCBeamSearcher``.

    Arguments
    ---------
    units : petl_modules.recognition.Units
        What the logits stand for.
    lm : str or None
        A language model of words, in ARPA or KenLM's format. None: there is
        none.
    **options
        See ``speechbrain.decoders.ctc.CTCBeamSearcher``, such as
        ``beam_size``, and with a language model ``alpha`` and ``beta``.
        Without one, beams that differ in earlier words are all kept
        (``prune_history`` False).

    Raises
    ------
    HparamsError
        There is no such file, the package ``kenlm`` is not installed, or the
        searcher has no such option.
    """

    def __init__(self, units, lm=None, **options):
        if lm is not None:
            _require_model(lm)
        names = list(units.names)
        if units.kind == "phones":  # each is a word
            names = [names[0], *(SPACE + name for name in names[1:])]
        options = {"prune_history": lm is not None, **options}
        try:
            self.searcher = CTCBeamSearcher(
                blank_index=0,
                vocab_list=names,
                space_token=" ",
                kenlm_model_path=None if lm is None else str(lm),
                **options,
            )
        except TypeError as error:
            raise HparamsError(f"decoder beam: {error}") from error
        self.units = units

    def __call__(self, logits, mask=None):
        """Return the texts of clips; see ``GreedyDecoder``."""
        return [text_of(words) for words in self.words(logits, mask)]

    def words(self, logits, mask=None):
        """Return words and their frames; see ``GreedyDecoder``."""
        probabilities = logits.float().log_softmax(-1).cpu()
        found = []
        for clip, frames in zip(probabilities, frame_counts(logits, mask)):
            best = self.searcher(clip[None, :frames])[0][0]
            found.append([(w, *span) for w, span in best.text_frames])
        return found


def make_decoder(kind, units, lm=None, **options):
    """Return a decoder.

    Arguments
    ---------
    kind : str
        ``greedy`` or ``beam``.
    units : petl_modules.recognition.Units
        What the logits stand for.
    lm, **options
        See ``BeamDecoder``.

    Returns
    -------
    GreedyDecoder or BeamDecoder

    Raises
    ------
    HparamsError
        There is no such decoder; or see ``BeamDecoder``.
    """
    if kind not in KINDS:
        raise HparamsError(
            f"decoder is '{kind}', which is none of: {', '.join(KINDS)}"
        )
    if kind == "beam":
        return BeamDecoder(units, lm, **options)
    if lm is not None:
        raise HparamsError(
            f"lm is '{lm}', and the greedy decoder has no language model: "
            "give --decoder beam"
        )
    return GreedyDecoder(units)


def text_of(words):
    """Return the text of words with their times."""
    return " ".join(word for word, *_ in words)


def frame_counts(logits, mask):
    """Return how many frames of each clip are real."""
    if mask is None:
        return [logits.shape[1]] * len(logits)
    return mask.sum(1).tolist()


def _require_model(lm):
    """Refuse a language model that cannot be read here."""
    absent = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if absent:
        raise HparamsError(
            f"lm is '{lm}', and language models need what is not installed: "
            f"{', '.join(absent)}. From the checkout: python -m pip install "
            "'.[lm]', which builds kenlm with a C++ compiler and CMake"
        )
    if not Path(lm).is_file():
        raise HparamsError(f"lm is '{lm}', and there is no such file")
