"""Loss, accuracy and predictions of one pass over a dataset.

Authors
 * The PETL audio recipes team 2026
"""

import torch
from speechbrain.utils.distributed import ddp_all_reduce


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
    >>> tally.add(["a", "b"], logits, targets, torch.tensor(0.5))
    >>> tally.result()
    {'loss': 0.5, 'accuracy': 0.5}
    >>> tally.predictions()[1]["predicted"]
    'dog'
    """

    def __init__(self, labels, metrics=None):
        self.labels = labels
        self.metrics = {"accuracy": accuracy, **(metrics or {})}
        self.batches = []
        self.loss = 0

    def add(self, clips, logits, targets, loss):
        """Counts one batch.

        Arguments
        ---------
        clips : list of str
            Their ids.
        logits : torch.Tensor
            ``[batch, classes]``.
        targets : torch.Tensor
            Class indices, ``[batch]``.
        loss : torch.Tensor
            Mean loss of the batch.
        """
        best = logits.detach().float().softmax(-1).max(-1)
        self.loss = self.loss + loss.detach().float() * len(targets)
        self.batches.append((clips, targets, best.indices, best.values))

    def result(self, shared_out=False):
        """Mean loss and the metrics.

        Arguments
        ---------
        shared_out : bool
            Whether the processes of a distributed run saw different clips.

        Returns
        -------
        dict
            ``loss``, ``accuracy`` (0 to 1) and the other metrics.
        """
        _, targets, predicted, _ = zip(*self.batches)
        size = len(self.labels)
        places = torch.cat(targets) * size + torch.cat(predicted)
        confusion, loss = places.bincount(minlength=size * size), self.loss
        if shared_out:
            total = torch.distributed.ReduceOp.SUM
            confusion = ddp_all_reduce(confusion, total)
            loss = ddp_all_reduce(loss, total)
        confusion = confusion.view(size, size)
        values = {
            name: metric(confusion, self.labels)
            for name, metric in self.metrics.items()
        }
        return {"loss": loss.item() / confusion.sum().item(), **values}

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
