"""Low-rank block: LoRA's update of a linear layer.

https://arxiv.org/abs/2106.09685
"""

import math

from torch import nn

from petl_modules.blocks.narrow_linear import narrow_linear


class Scaled(nn.Module):
    """Hidden values times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, hidden, mask=None):
        """Return ``[batch, time, r]``; ``mask`` changes nothing."""
        return self.factor * hidden


class LowRank(nn.Module):
    """``lora_b(scaling * lora_a(x))``, without biases.

    As a branch (``forward``) it needs two narrow products. As a matrix
    (``delta``) it can be added to the weight of the layer that it adapts.

    rsLoRA (https://arxiv.org/abs/2312.03732) is ``alpha`` times the square root
    of ``rank``: the update then has the same size at every rank.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    rank : int
        Width between the two projections.
    alpha : float
        The block is scaled by ``scaling = alpha / rank``.

    Raises
    ------
    ValueError
        If ``rank`` is below 1, or above the narrower of the two widths.

    Example
    -------
    >>> import torch
    >>> block = LowRank(768, 3072, rank=6, alpha=6.0)
    >>> block(torch.rand(2, 50, 768)).shape, block.delta().shape
    (torch.Size([2, 50, 3072]), torch.Size([3072, 768]))
    """

    mergeable = True
    groupable = True

    def __init__(self, d_in, d_out=None, *, rank=6, alpha=6.0):
        super().__init__()
        d_out = d_in if d_out is None else d_out
        if not 1 <= rank <= min(d_in, d_out):
            raise ValueError(
                f"rank is {rank}: for a layer from {d_in} to {d_out} values "
                f"it must lie between 1 and {min(d_in, d_out)}"
            )
        self.scaling = alpha / rank
        self.lora_a = nn.Linear(d_in, rank, bias=False)
        self.lora_b = nn.Linear(rank, d_out, bias=False)
        nn.init.kaiming_uniform_(self.lora_a.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x, mask=None):
        """Return the branch, ``[..., d_out]``; ``mask`` changes nothing."""
        return narrow_linear(self.scaling * self.lora_a(x), self.lora_b.weight)

    # What a mixture of such blocks is made of, see ``GroupedExperts``

    @property
    def down_proj(self):
        """The projection to the rank."""
        return self.lora_a

    @property
    def inner(self):
        """What stands between the projections."""
        return Scaled(self.scaling)

    @property
    def up_proj(self):
        """The projection from the rank."""
        return self.lora_b

    def delta(self):
        """Return the branch as one matrix, ``[d_out, d_in]``."""
        return self.lora_b.weight @ (self.scaling * self.lora_a.weight)

    def merge(self, weight, bias):
        """Return weight and bias of a layer with the branch in them."""
        return weight + self.delta(), bias
