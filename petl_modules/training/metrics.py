"""Metrics of a classifier: loss, accuracy, confusions, predictions."""

import json
import math
from functools import partial

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_all_reduce, if_main_process

from petl_modules.training.accuracy import accuracy
from petl_modules.utils import HparamsError, write_json


@partial(register_checkpoint_hooks, save_on_main_only=False)
class ClassificationMetrics:
    """Loss, accuracy and further metrics of one pass over a dataset.

    All counts stay on the device until ``summarize``. Every clip has the same
    weight, whatever the batch sizes. A checkpoint within an epoch saves the
    counts so far.

    Arguments
    ---------
    labels : list of str
        Class names in the order of the logits.
    extra : dict
        Metrics in addition to ``accuracy``: from name to a function of
        confusion matrix and labels.

    Raises
    ------
    HparamsError
        If there are no labels, or a label is repeated.

    Example
    -------
    >>> metrics = ClassificationMetrics(["cat", "dog"])
    >>> logits, targets = torch.eye(2), torch.tensor([0, 0])
    >>> metrics.append(["a", "b"], logits, targets, torch.tensor([0.25, 0.75]))
    >>> metrics.summarize()
    {'loss': 0.5, 'accuracy': 0.5}
    >>> metrics.predictions()[1]["predicted"]
    'dog'
    """

    def __init__(self, labels, extra=None):
        if not labels or len(set(labels)) < len(labels):
            raise HparamsError(f"labels must be there, each once: {labels}")
        self.labels = labels
        self.functions = {"accuracy": accuracy, **(extra or {})}
        self.clear()

    @property
    def names(self):
        """Keys of ``summarize``'s result: what can select the best epoch."""
        return ["loss", *self.functions]

    def clear(self):
        """Start a new pass."""
        self.batches = []
        self.loss = 0
        self.restored = 0  # confusion matrix of the batches before a resume

    def append(self, ids, logits, targets, losses):
        """Count one batch.

        Arguments
        ---------
        ids : list of str
            The clips' ids.
        logits : torch.Tensor
            ``[batch, classes]``. Rows beyond the ids do not count.
        targets : torch.Tensor
            Class indices, ``[batch]``; or, of mixed clips, the share of each
            class, ``[batch, classes]``, of which the largest counts.
        losses : torch.Tensor
            Loss of each clip, ``[batch]``.

        Raises
        ------
        HparamsError
            The losses are not one a clip, or the logits not one a class.
        """
        targets = targets.argmax(-1) if targets.ndim > 1 else targets
        if logits.shape[1:] != (len(self.labels),):
            raise HparamsError(
                f"head, in the recipe file, makes {list(logits.shape[1:])} "
                f"outputs of a clip, and there are {len(self.labels)} classes"
            )
        if losses.shape != targets.shape:
            raise HparamsError(
                f"loss, in the recipe file, makes {list(losses.shape)} numbers "
                f"of {len(targets)} clips: with reduction='none' it must make "
                "one for each"
            )
        best = logits.detach().float().softmax(-1).max(-1)
        count, losses = len(ids), losses.detach().float()
        self.loss = self.loss + losses[:count].sum()
        columns = (targets, best.indices, best.values, losses)
        self.batches.append((ids, *(column[:count] for column in columns)))

    def counts(self, gather):
        """Return the sum of the losses and the confusion matrix.

        Arguments
        ---------
        gather : bool
            Whether the processes of a distributed run saw different clips.

        Returns
        -------
        tuple of torch.Tensor
            The matrix is ``[true, predicted]``.
        """
        size = len(self.labels)
        confusion, loss = self.restored, self.loss
        if self.batches:
            _, targets, predicted, *_ = zip(*self.batches)
            cells = torch.cat(targets) * size + torch.cat(predicted)
            counted = cells.bincount(minlength=size * size).view(size, size)
            before = torch.as_tensor(confusion, device=counted.device)
            confusion = counted + before
        if gather:
            total = torch.distributed.ReduceOp.SUM
            confusion = ddp_all_reduce(confusion, total)
            loss = ddp_all_reduce(loss, total)
        return loss, confusion

    def summarize(self, gather=False):
        """Return the mean loss and the metrics.

        Arguments
        ---------
        gather : bool
            See ``counts``.

        Returns
        -------
        dict
            ``loss``, ``accuracy`` (0 to 1) and the other metrics.
        """
        loss, confusion = self.counts(gather)
        values = {
            name: function(confusion, self.labels)
            for name, function in self.functions.items()
        }
        return {"loss": loss.item() / confusion.sum().item(), **values}

    def predictions(self):
        """Return one row for each clip.

        Returns
        -------
        list of dict
            ``id``, ``label``, ``predicted`` and ``probability``.
        """
        return [
            {
                "id": clip,
                "label": self.labels[target],
                "predicted": self.labels[index],
                "probability": round(value, 6),
            }
            for clip, target, index, value, _ in self._rows()
        ]

    def nonfinite_clips(self):
        """Return the ids of the clips whose loss is not finite."""
        return [row[0] for row in self._rows() if not math.isfinite(row[-1])]

    def _rows(self):
        """Yield id, target, prediction, probability and loss of each clip."""
        for clips, *tensors in self.batches:
            yield from zip(clips, *(tensor.tolist() for tensor in tensors))

    @mark_as_saver
    def _save(self, path):
        """Save the counts of all processes so far."""
        saved = {}
        if self.batches:
            loss, confusion = self.counts(gather=True)
            saved = {"loss": loss.item(), "confusion": confusion.tolist()}
        if if_main_process():
            write_json(path, saved)

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        """Restore the counts, if the checkpoint is from within an epoch."""
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        self.clear()
        if saved and not end_of_epoch and if_main_process():
            self.loss = torch.tensor(saved["loss"])
            self.restored = torch.tensor(saved["confusion"])
