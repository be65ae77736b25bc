"""Loss, accuracy and predictions of one pass over a dataset.

Authors
 * The PETL audio recipes team 2026
"""

import json
from functools import partial

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_all_reduce, if_main_process

from petl_modules.utils import AudioError, gathered, write_json


def accuracy(confusion, labels):
    """Share of the clips that are right.

    Arguments
    ---------
    confusion : torch.Tensor
        Counts ``[true, predicted]``.
    labels : list of str
        Class names in their order.

    Returns
    -------
    float
    """
    return confusion.trace().item() / confusion.sum().item()


def unweighted_accuracy(confusion, labels):
    """Mean recall of the classes that occur (see ``accuracy``).

    Example
    -------
    >>> unweighted_accuracy(torch.tensor([[3, 1], [1, 1]]), ["cat", "dog"])
    0.625
    """
    clips = confusion.sum(1)
    there = clips > 0
    recalls = confusion.diagonal()[there].double() / clips[there]
    return recalls.mean().item()


def part_accuracy(confusion, labels, part):
    """Share of the clips that are right in one part of their label.

    Arguments
    ---------
    confusion, labels
        See ``accuracy``; labels such as ``activate|lights|kitchen``.
    part : int
        Which part, from 0.

    Returns
    -------
    float

    Example
    -------
    >>> counts = torch.tensor([[1, 1], [0, 2]])
    >>> part_accuracy(counts, ["activate|lamp", "activate|music"], part=0)
    1.0
    """
    parts = [label.split("|")[part] for label in labels]
    same = [[true == predicted for predicted in parts] for true in parts]
    same = torch.tensor(same, device=confusion.device)
    return confusion[same].sum().item() / confusion.sum().item()


@partial(register_checkpoint_hooks, save_on_main_only=False)
class Tally:
    """Counts what a classifier gets right.

    Everything stays on the device until it is asked for, and every clip
    weighs the same, whatever the sizes of the batches.

    Arguments
    ---------
    labels : list of str
        Class names in the order of the logits.
    metrics : dict
        Further metrics beside ``accuracy``: from name to a function of
        confusion matrix and labels.

    Example
    -------
    >>> tally = Tally(["cat", "dog"])
    >>> logits, targets = torch.eye(2), torch.tensor([0, 0])
    >>> tally.add(["a", "b"], logits, targets, torch.tensor([0.25, 0.75]))
    >>> tally.result()
    {'loss': 0.5, 'accuracy': 0.5}
    >>> tally.predictions()[1]["predicted"]
    'dog'
    """

    def __init__(self, labels, metrics=None):
        self.labels = labels
        self.metrics = {"accuracy": accuracy, **(metrics or {})}
        self.skipped = set()  # clips that could not be read, in any stage
        self.reset()

    def reset(self):
        """Forgets what was counted, but for the clips that were skipped."""
        self.batches = []
        self.loss = 0
        self.restored = 0  # the confusion matrix of batches before a resume

    def add(self, clips, logits, targets, losses):
        """Counts one batch.

        Arguments
        ---------
        clips : list of str
            Their ids.
        logits : torch.Tensor
            ``[batch, classes]``. Rows beyond the ids do not count.
        targets : torch.Tensor
            Class indices, ``[batch]``.
        losses : torch.Tensor
            Loss of each clip, ``[batch]``.
        """
        best = logits.detach().float().softmax(-1).max(-1)
        count = len(clips)
        self.loss = self.loss + losses[:count].detach().float().sum()
        columns = (targets, best.indices, best.values)
        self.batches.append((clips, *(column[:count] for column in columns)))

    def counts(self, shared_out):
        """Sum of the losses, and the confusion matrix ``[true, predicted]``.

        Arguments
        ---------
        shared_out : bool
            Whether the processes of a distributed run saw different clips.

        Returns
        -------
        tuple of torch.Tensor
        """
        size = len(self.labels)
        confusion, loss = self.restored, self.loss
        if self.batches:
            _, targets, predicted, _ = zip(*self.batches)
            places = torch.cat(targets) * size + torch.cat(predicted)
            found = places.bincount(minlength=size * size).view(size, size)
            before = torch.as_tensor(confusion, device=found.device)
            confusion = found + before
        if shared_out:
            total = torch.distributed.ReduceOp.SUM
            confusion = ddp_all_reduce(confusion, total)
            loss = ddp_all_reduce(loss, total)
        return loss, confusion

    def result(self, shared_out=False):
        """Mean loss and the metrics.

        Arguments
        ---------
        shared_out : bool
            See ``counts``.

        Returns
        -------
        dict
            ``loss``, ``accuracy`` (0 to 1) and the other metrics.
        """
        if not shared_out and not torch.is_tensor(self.loss):
            raise AudioError(
                f"no clip can be read: {', '.join(sorted(self.skipped))}. "
                "Fetch the dataset again"
            )
        loss, confusion = self.counts(shared_out)
        values = {
            name: metric(confusion, self.labels)
            for name, metric in self.metrics.items()
        }
        return {"loss": loss.item() / confusion.sum().item(), **values}

    @mark_as_saver
    def _save(self, path):
        """What all processes have counted so far."""
        saved = {"skipped": sorted(gathered(self.skipped))}
        if self.batches:
            loss, confusion = self.counts(shared_out=True)
            saved.update(loss=loss.item(), confusion=confusion.tolist())
        if if_main_process():
            write_json(path, saved)

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        """Goes on counting, if the checkpoint is from within an epoch."""
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        self.reset()
        if if_main_process():
            self.skipped.update(saved["skipped"])
            if "loss" in saved and not end_of_epoch:
                self.loss = torch.tensor(saved["loss"])
                self.restored = torch.tensor(saved["confusion"])

    def predictions(self):
        """One row a clip.

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
            for clips, *tensors in self.batches
            for clip, target, index, value in zip(
                clips, *(tensor.tolist() for tensor in tensors)
            )
        ]
