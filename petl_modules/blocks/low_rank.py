"""Low-rank branch of a linear layer.

https://arxiv.org/abs/2106.09685

Authors
 * The PETL audio recipes team 2026
"""

import math

from torch import nn

from petl_modules.blocks.narrow_linear import widen


class LowRank(nn.Module):
    """``B(alpha / rank * A(x))``, without biases.

    Arguments
    ---------
    d_in : int
        Size of the projection's input.
    d_out : int
        Size of its output.
    rank : int
        Width between A and B.
    alpha : float
        The branch is scaled by ``alpha / rank``.

    Example
    -------
    >>> import torch
    >>> LowRank(768, 768, rank=6, alpha=6.0)(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_in, d_out, *, rank, alpha):
        super().__init__()
        self.scale = alpha / rank
        self.a = nn.Linear(d_in, rank, bias=False)
        self.b = nn.Linear(rank, d_out, bias=False)
        nn.init.kaiming_uniform_(self.a.weight, a=math.sqrt(5))
        nn.init.zeros_(self.b.weight)

    def forward(self, x, valid=None):
        """Returns the branch: ``[..., d_in]`` to ``[..., d_out]``."""
        return widen(self.scale * self.a(x), self.b.weight)

    def product(self):
        """The branch as one matrix, ``[d_out, d_in]``."""
        return self.b.weight @ (self.scale * self.a.weight)
