"""Pieces of words by a unigram language model.

https://arxiv.org/abs/1804.10959
"""

import hashlib
import io
import json
from pathlib import Path

import sentencepiece

from petl_modules.data.prepare.transcripts import BLANK
from petl_modules.utils import HparamsError, brief, write_bytes

MARK = "\u2581"  # in a piece: a word begins


def break_up(records, size, alphabet, manifest_folder, name):
    """Give each record its ``pieces``, of a model of the training text.

    The model is trained once: its file in the manifest's folder has a hash of
    all that it depends on in its name.

    Arguments
    ---------
    records : dict
        Records by id, with ``text``; changed in place. Those of ``split``
        ``train`` are trained on, or all if no record has a split.
    size : int
        Number of units, with the blank.
    alphabet : list of str
        All characters of the texts; each is a piece at least.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    name : str
        The dataset.

    Returns
    -------
    units : list of str
        The blank, then the pieces.

    Raises
    ------
    HparamsError
        There cannot be so many or so few pieces.
    """
    texts = [
        record["text"]
        for record in records.values()
        if record.get("split", "train") == "train"
    ]
    facts = [sentencepiece.__version__, size, sorted(alphabet), texts]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    file = Path(manifest_folder) / f"{name.lower()}-pieces-{key}.model"
    if not file.is_file():
        write_bytes(file, _trained(texts, size, alphabet))
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    for record in records.values():
        pieces = model.encode(record["text"], out_type=str)
        record["pieces"] = " ".join(pieces)
    ids = range(1, model.get_piece_size())  # 0: unknown, which none is
    return [BLANK, *map(model.id_to_piece, ids)]


def _trained(texts, size, alphabet):
    """Return a trained model as bytes."""
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=written,
            vocab_size=size,
            model_type="unigram",
            normalization_rule_name="identity",
            character_coverage=1.0,
            required_chars="".join(alphabet).replace(" ", ""),
            max_sentence_length=1 << 20,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise HparamsError(
            f"pieces is {size}, and sentencepiece cannot make so many of this "
            f"text: {brief(error)}"
        ) from error
    return written.getvalue()
