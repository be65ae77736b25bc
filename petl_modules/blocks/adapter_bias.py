"""AdapterBias: one vector, shifted by a weight of each token.

https://arxiv.org/abs/2205.00305
"""

import torch
from torch import nn


class AdapterBias(nn.Module):
    """``vector * alpha(x)``, with one number ``alpha(x)`` for each token.

    ``alpha`` is linear and starts at 0, the vector at 1, so that the block
    outputs 0 at first. (In the first step, only ``alpha`` has a gradient that
    is not 0; from the second on, the vector has one as well.)

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
        self.vector = nn.Parameter(torch.ones(d_in if d_out is None else d_out))
        self.alpha = nn.Linear(d_in, 1)
        nn.init.zeros_(self.alpha.weight)
        nn.init.zeros_(self.alpha.bias)

    def forward(self, x, mask=None):
        """Return the branch, ``[..., d_out]``; ``mask`` changes nothing."""
        return self.alpha(x) * self.vector
