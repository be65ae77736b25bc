"""GC-LoRA: a low-rank branch with a gated convolution inside.

https://arxiv.org/abs/2606.10464
"""

from torch import nn

from petl_modules.blocks.conformer import gated_convolution
from petl_modules.blocks.low_rank import LowRank
from petl_modules.blocks.masked_group_norm import MaskedGroupNorm
from petl_modules.blocks.narrow_linear import narrow_linear


class GCLoRA(nn.Module):
    """``s B (z + conv(z))`` with ``z = A x``: LoRA that sees neighbouring frames.

    ``conv`` is the Conformer's convolution, as wide as the rank r: pointwise
    convolution to 2r, GLU, depthwise convolution, group norm, SiLU, pointwise
    convolution to r. Padding is left out of convolution and norm. What depends
    on neighbours is in no weight: the branch cannot be merged.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    rank, alpha
        See ``LowRank``, whose A and B these are.
    kernel_size : int
        Width of the depthwise convolution in tokens, see ``Conformer``.
    groups : int
        Groups of channels that are normalised together.

    Raises
    ------
    ValueError
        If ``kernel_size`` is below 1. See ``LowRank`` and
        ``MaskedGroupNorm``, too.

    Example
    -------
    >>> import torch
    >>> block = GCLoRA(768, rank=8, alpha=8.0)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(
        self,
        d_in,
        d_out=None,
        *,
        rank=8,
        alpha=8.0,
        kernel_size=31,
        groups=1,
    ):
        super().__init__()
        if kernel_size < 1:
            raise ValueError(f"kernel_size {kernel_size} must be at least 1")
        low_rank = LowRank(d_in, d_out, rank=rank, alpha=alpha)
        self.scaling = low_rank.scaling
        self.down_proj = low_rank.lora_a
        self.pointwise_in = nn.Linear(rank, 2 * rank)
        self.depthwise = nn.Conv1d(rank, rank, kernel_size, groups=rank)
        self.group_norm = MaskedGroupNorm(rank, groups)
        self.pointwise_out = nn.Linear(rank, rank)
        self.up_proj = low_rank.lora_b

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``Bottleneck.forward``)."""
        z = self.down_proj(x)
        hidden = gated_convolution(
            self.pointwise_in(z), self.depthwise, self.group_norm, mask
        )
        z = z + self.pointwise_out(hidden)
        return narrow_linear(self.scaling * z, self.up_proj.weight)
