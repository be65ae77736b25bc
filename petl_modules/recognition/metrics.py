"""Metrics of recognition: loss and error rates of words and characters."""

import json
from collections import Counter
from functools import partial

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_all_reduce, if_main_process
from speechbrain.utils.edit_distance import accumulatable_wer_stats

from petl_modules.utils import HparamsError, write_json

EDITS = ("insertions", "deletions", "substitutions")
# By kind of unit and name of the rate: how a text is split
SPLITS = {
    "phones": {"per": str.split},
    "characters": {"wer": str.split, "cer": list},
    "sentencepiece": {"wer": str.split, "cer": list},
}


def main_rate(kind):
    """Return the name of the error rate that selects an epoch.

    Arguments
    ---------
    kind : str
        The kind of units, see ``petl_modules.recognition.Units``.

    Returns
    -------
    str

    Raises
    ------
    HparamsError
        There is no such kind.

    Example
    -------
    >>> main_rate("characters"), main_rate("phones")
    ('wer', 'per')
    """
    if kind not in SPLITS:
        raise HparamsError(
            f"units is '{kind}', which is none of: {', '.join(SPLITS)}"
        )
    return next(iter(SPLITS[kind]))


@partial(register_checkpoint_hooks, save_on_main_only=False)
class RecognitionMetrics:
    """Loss and error rates of one pass over a dataset.

    An error rate is the number of insertions, deletions and substitutions in
    all texts over the number of words (``wer``), characters with the spaces
    between words (``cer``) or phones (``per``) in all references.

    Training counts its loss alone. A checkpoint within an epoch saves it.

    Arguments
    ---------
    units : petl_modules.recognition.Units
        What the logits stand for.
    decoder : callable
        Maps logits and mask to texts, see ``GreedyDecoder``.

    Example
    -------
    >>> from petl_modules.recognition import GreedyDecoder, Units
    >>> units = Units("characters", ["<blank>", " ", "a", "b"])
    >>> metrics = RecognitionMetrics(units, GreedyDecoder(units))
    >>> logits = torch.nn.functional.one_hot(torch.tensor([[2, 1, 3]])).float()
    >>> metrics.append(["1"], logits, None, ["a a"], torch.tensor([0.5]))
    >>> {name: round(value, 3) for name, value in metrics.summarize().items()}
    {'loss': 0.5, 'wer': 0.5, 'cer': 0.333}
    """

    def __init__(self, units, decoder):
        self.units = units
        self.decoder = decoder
        self.splits = SPLITS[units.kind]
        self.clear()

    @property
    def names(self):
        """Keys of ``summarize``'s result: what can select the best epoch."""
        return ["loss", *self.splits]

    def clear(self):
        """Start a new pass."""
        self.rows = []
        self.lost = []  # ids and losses that are not read yet
        self.loss, self.clips, self.begun = 0.0, 0, False
        self.counts = {name: Counter() for name in self.splits}

    def append_losses(self, losses):
        """Count a batch of the training.

        Arguments
        ---------
        losses : torch.Tensor
            Loss of each clip that counts, ``[clips]``.
        """
        self.begun = True
        # A loss that is not finite ends the training, or skips its update
        finite = losses.detach().float().nan_to_num(0.0, 0.0, 0.0)
        self.loss = self.loss + finite.sum()
        self.clips += len(losses)

    def append(self, ids, logits, mask, texts, losses):
        """Count a batch of an evaluation.

        Arguments
        ---------
        ids : list of str
            The clips' ids.
        logits, mask
            See ``GreedyDecoder``.
        texts : list of str
            What was said, or its phones.
        losses : torch.Tensor
            Loss of each clip, ``[batch]``.
        """
        self.append_losses(losses)
        self.lost.append((ids, losses.detach()))
        for clip, text, said in zip(ids, texts, self.decoder(logits, mask)):
            row = {"id": clip, "text": text, "predicted": said}
            for name, split in self.splits.items():
                edits = accumulatable_wer_stats([split(text)], [split(said)])
                del edits["WER"]  # of the clip
                self.counts[name] += edits
                row[f"{name}_errors"] = sum(edits[kind] for kind in EDITS)
            self.rows.append(row)

    def summarize(self, gather=False):
        """Return the mean loss and the error rates.

        Arguments
        ---------
        gather : bool
            Whether the processes of a distributed run saw different clips.

        Returns
        -------
        dict
            ``loss`` and, of an evaluation, ``wer`` and ``cer`` or ``per``, as
            shares: 1 for as many errors as there are words.
        """
        sums = [self.loss, self.clips]
        for counter in self.counts.values():
            sums += [sum(counter[kind] for kind in EDITS)]
            sums += [counter["num_ref_tokens"]]
        sums = torch.tensor([float(x) for x in sums], dtype=torch.float64)
        if gather:
            device = getattr(self.loss, "device", "cpu")
            total = torch.distributed.ReduceOp.SUM
            sums = ddp_all_reduce(sums.to(device), total)
        (loss, clips), *rates = sums.view(-1, 2).tolist()
        rates = {name: e / n for name, (e, n) in zip(self.splits, rates) if n}
        return {"loss": loss / clips, **rates}

    def predictions(self):
        """Return one row for each clip.

        Returns
        -------
        list of dict
            ``id``, ``text``, ``predicted``, and the errors that each rate
            counts.
        """
        return self.rows

    def nonfinite_clips(self):
        """Return the ids of the clips whose loss is not finite."""
        return [
            clip
            for ids, losses in self.lost
            for clip, finite in zip(ids, losses.isfinite().tolist())
            if not finite
        ]

    @mark_as_saver
    def _save(self, path):
        """Save the training loss of all processes so far."""
        saved = {}
        if self.begun:
            loss = torch.as_tensor(self.loss, dtype=torch.float32)
            count = torch.tensor(self.clips, device=loss.device)
            total = torch.distributed.ReduceOp.SUM
            loss, count = (ddp_all_reduce(x, total) for x in (loss, count))
            saved = {"loss": loss.item(), "clips": count.item()}
        if if_main_process():
            write_json(path, saved)

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        """Restore the loss, if the checkpoint is from within an epoch."""
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        self.clear()
        if saved and not end_of_epoch and if_main_process():
            self.loss, self.clips = torch.tensor(saved["loss"]), saved["clips"]
