"""Mixup of waveforms: a training clip and another, and their labels.

https://arxiv.org/abs/1710.09412; on waveforms as in
https://arxiv.org/abs/2104.01778. What is mixed is a function of seed and
epoch.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from petl_modules.data.loading import one_thread
from petl_modules.utils import DataError, counted_seed


class Mix(NamedTuple):
    """Two clips of a dataset by index, and the share of the first."""

    first: int
    second: int
    weight: float


def draw_mixes(order, probability, seed, epoch, alpha=10.0):
    """Draw what the clips of an epoch are mixed with.

    A clip is mixed with any clip of the dataset, with a probability, and its
    share is drawn from Beta(alpha, alpha). Otherwise it is mixed with itself.

    Arguments
    ---------
    order : list of int
        The clips in their order.
    probability : float
        That of a clip to be mixed.
    seed, epoch : int
        Of the run, and of the epoch.
    alpha : float
        The larger, the nearer to equal shares.

    Returns
    -------
    list of Mix

    Example
    -------
    >>> draw_mixes([1, 0], probability=0.0, seed=10, epoch=1)[0]
    Mix(first=1, second=1, weight=1.0)
    """
    draws = np.random.default_rng(counted_seed(seed, epoch, "mixup"))
    mixed = draws.random(len(order)) < probability
    others = draws.integers(len(order), size=len(order))
    weights = draws.beta(alpha, alpha, size=len(order))
    return [
        Mix(clip, int(other), float(weight)) if mix else Mix(clip, clip, 1.0)
        for clip, mix, other, weight in zip(order, mixed, others, weights)
    ]


def mix_waveforms(first, second, weight):
    """Return the weighted sum of two clips, as long as the first.

    Arguments
    ---------
    first, second : torch.Tensor
        Samples ``[time]``. Their means are subtracted. The second is cut, or
        padded with silence.
    weight : float
        The share of the first.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> import torch
    >>> first, second = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([2.0, 0.0])
    >>> mix_waveforms(first, second, weight=0.5)
    tensor([ 1., -1.,  0.])
    """
    first, second = first - first.mean(), second - second.mean()
    second = F.pad(second, (0, len(first) - len(second)))  # < 0: it is cut
    return weight * first + (1 - weight) * second


def load_mixed(read, features, labels, target, records, weight):
    """Return a training item of two clips, mixed before the features.

    Arguments
    ---------
    read : tuple
        A function that returns a clip's samples, and the keys of the record
        that it takes.
    features : callable
        See ``load_features``.
    labels : list of str
        Class names in the order of the logits.
    target : str
        The records' key with the class.
    records : list of dict
        The two clips; the item has the id of the first.
    weight : float
        The share of the first.

    Returns
    -------
    dict
        As an item of ``make_datasets``, but ``target`` is the share of each
        class, ``[classes]``.
    """
    read, keys = read
    with one_thread():
        clips = [read(*(record[key] for key in keys)) for record in records]
        samples = mix_waveforms(*clips, weight) if weight < 1 else clips[0]
        one, other = (
            F.one_hot(encode_label(labels, record[target])[0], len(labels))
            for record in records
        )
        return {
            "id": records[0]["id"],
            "features": features(samples),
            "target": weight * one + (1 - weight) * other,
        }


def encode_label(labels, label):
    """Return the class index of a label, ``[1]``."""
    if label not in labels:
        raise DataError(
            f"a clip has the label '{label}', which is none of the "
            f"{len(labels)} classes. Prepare the dataset again"
        )
    return torch.tensor([labels.index(label)])
