"""AdapterBias: one vector, shifted by a weight of each token.

https://arxiv.org/abs/2205.00305
"""

import torch
from torch import nn


class AdapterBias(nn.Module):
    """``vector * alpha(x)``, with one number ``alpha(x)`` for each token.

    The vector starts at 0, so that the block outputs 0; ``alpha``, a linear
    layer, starts as PyTorch draws it. Not the other way round: a vector of
    equal values is what a LayerNorm behind the block takes away, and with it
    the gradient of ``alpha``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.

    Example
    -------
    >>> block = AdapterBias(3072, 768)
    >>> block(torch.rand(2, 50, 3072)).shape
    torch.Size([2, 50, 768])
    >>> sum(p.numel() for p in block.parameters())
    3841
    """

    def __init__(self, d_in, d_out=None):
        super().__init__()
        d_out = d_in if d_out is None else d_out
        self.vector = nn.Parameter(torch.zeros(d_out))
        self.alpha = nn.Linear(d_in, 1)

    def forward(self, x, mask=None):
        """Return the branch, ``[..., d_out]``; ``mask`` changes nothing."""
        return self.alpha(x) * self.vector
