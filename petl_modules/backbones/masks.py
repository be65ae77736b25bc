"""Padding masks from the lengths of clips.

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


def mask(lengths, total):
    """True for the first ``lengths`` places, ``[batch, total]``.

    Example
    -------
    >>> mask(torch.tensor([1, 3]), 3)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    return torch.arange(total, device=lengths.device) < lengths.unsqueeze(1)
