"""Lengths of clips in a padded batch.

Authors
 * The PETL audio recipes team 2026
"""

import torch


def in_samples(lengths, inputs):
    """Lengths in samples from relative ones.

    Arguments
    ---------
    lengths : torch.Tensor
        Relative lengths, ``[batch]``.
    inputs : torch.Tensor
        What is padded, ``[batch, samples]``.

    Returns
    -------
    torch.Tensor
        ``[batch]``.
    """
    return (lengths * inputs.shape[1]).round().long()


def by_length(function, inputs, lengths):
    """Applies a function to the clips of each length apart, unpadded.

    Arguments
    ---------
    function : callable
        From ``[clips, samples]`` to ``[clips, ...]``.
    inputs : torch.Tensor
        Padded clips, ``[batch, samples]``.
    lengths : torch.Tensor
        Relative lengths, ``[batch]``. They are read from the device.

    Returns
    -------
    torch.Tensor
        ``[batch, ...]``, in the order of the clips.

    Example
    -------
    >>> clips = torch.tensor([[1.0, 0.0], [2.0, 3.0], [4.0, 0.0]])
    >>> by_length(lambda x: x.mean(1), clips, torch.tensor([0.5, 1.0, 0.5]))
    tensor([1.0000, 2.5000, 4.0000])
    """
    rows = {}
    for row, length in enumerate(in_samples(lengths, inputs).tolist()):
        rows.setdefault(length, []).append(row)
    parts = [function(inputs[own, :length]) for length, own in rows.items()]
    order = torch.tensor([row for own in rows.values() for row in own])
    return torch.cat(parts)[order.argsort()]
