"""Lengths of clips in a padded batch.

Authors
 * The PETL audio recipes team 2026
"""

import torch
import torch.nn.functional as F
from torch import nn


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


class ChannelNorm(nn.Module):
    """Normalises each channel over a clip's own frames.

    A group norm with a group for each channel, which padding does not move.

    Arguments
    ---------
    norm : torch.nn.GroupNorm
        As many groups as channels. Its parameters are taken over.

    Example
    -------
    >>> norm = ChannelNorm(nn.GroupNorm(8, 8))
    >>> x = torch.rand(2, 8, 50)
    >>> norm.lengths = torch.tensor([50, 30])
    >>> alone = F.group_norm(x[1:, :, :30], 8)
    >>> torch.allclose(norm(x)[1:, :, :30], alone, atol=1e-6)
    True
    """

    def __init__(self, norm):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.lengths = None  # frames of each clip, [batch]; None: all of them

    def forward(self, x):
        """``[batch, channels, frames]`` to the same."""
        if self.lengths is None:
            channels = x.shape[1]
            return F.group_norm(x, channels, self.weight, self.bias, self.eps)
        real = mask(self.lengths, x.shape[2]).unsqueeze(1)
        count = self.lengths.view(-1, 1, 1)
        mean = (x * real).sum(2, keepdim=True, dtype=torch.float32) / count
        centred = (x - mean) * real
        variance = centred.square().sum(2, keepdim=True) / count
        scale = self.weight.unsqueeze(1) * (variance + self.eps).rsqrt()
        out = torch.addcmul(self.bias.unsqueeze(1), centred, scale)
        return out.to(x.dtype)
