"""Padding masks from the lengths of clips."""

import torch


def in_samples(lengths, inputs):
    """Return lengths in samples from relative ones.

    Arguments
    ---------
    lengths : torch.Tensor
        Relative lengths, ``[batch]``.
    inputs : torch.Tensor
        Padded waveforms, ``[batch, samples]``.

    Returns
    -------
    torch.Tensor
        ``[batch]``.
    """
    return (lengths * inputs.shape[1]).round().long()


def mask_of_lengths(lengths, total):
    """Return a mask ``[batch, total]``, True at the first ``lengths`` places.

    Example
    -------
    >>> mask_of_lengths(torch.tensor([1, 3]), 3)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    return torch.arange(total, device=lengths.device) < lengths.unsqueeze(1)
