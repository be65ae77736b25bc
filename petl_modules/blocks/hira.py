"""HiRA: a weight multiplied by a low-rank matrix, which is an update of high rank.

https://openreview.net/forum?id=TwJrTz9cRS
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.low_rank import LowRank


class HiRA(nn.Module):
    """A linear layer with the weight ``W * (1 + s B A)``, element by element.

    W is the frozen weight, ``s B A`` the matrix of a ``LowRank`` block. No
    branch of narrow products computes this: the backward pass has one product
    more than that of the frozen layer, as large as the layer's own.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    rank, alpha
        See ``LowRank``; the paper has no scale: ``alpha`` equal to ``rank``.

    Example
    -------
    >>> layer = nn.Linear(768, 3072)
    >>> block = HiRA(768, 3072, rank=6, alpha=6.0)
    >>> block(torch.rand(2, 50, 768), layer).shape
    torch.Size([2, 50, 3072])
    """

    mergeable = True
    reads_layer = True

    def __init__(self, d_in, d_out=None, *, rank=6, alpha=6.0):
        super().__init__()
        self.low_rank = LowRank(d_in, d_out, rank=rank, alpha=alpha)

    def forward(self, x, layer):
        """Return the layer's output with the other weight, ``[..., d_out]``.

        Arguments
        ---------
        x : torch.Tensor
            ``[..., d_in]``.
        layer : torch.nn.Module
            The frozen linear layer, with ``weight`` and ``bias``.
        """
        change = layer.weight * self.low_rank.delta()
        # Autocast would round the change away if it were in the weight
        if torch.is_autocast_enabled(x.device.type):
            return layer(x) + F.linear(x, change)
        return F.linear(x, layer.weight + change, layer.bias)

    def merge(self, weight, bias):
        """Return weight and bias of a layer with the block in them."""
        return weight + weight * self.low_rank.delta(), bias
