"""Accuracies of a confusion matrix."""

import torch


def accuracy(confusion, labels):
    """Return the share of correctly classified clips.

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
    """Return the mean recall of the classes that occur (see ``accuracy``).

    Example
    -------
    >>> unweighted_accuracy(torch.tensor([[3, 1], [1, 1]]), ["cat", "dog"])
    0.625
    """
    clips = confusion.sum(1)
    occurs = clips > 0
    recalls = confusion.diagonal()[occurs].double() / clips[occurs]
    return recalls.mean().item()


def slot_accuracy(confusion, labels, slot):
    """Return the accuracy of one slot of labels such as ``on|lamp|kitchen``.

    Arguments
    ---------
    confusion, labels
        See ``accuracy``.
    slot : int
        Which slot, from 0.

    Returns
    -------
    float

    Example
    -------
    >>> counts = torch.tensor([[1, 1], [0, 2]])
    >>> slot_accuracy(counts, ["activate|lamp", "activate|music"], slot=0)
    1.0
    """
    values = [label.split("|")[slot] for label in labels]
    same = [[true == predicted for predicted in values] for true in values]
    same = torch.tensor(same, device=confusion.device)
    return confusion[same].sum().item() / confusion.sum().item()
