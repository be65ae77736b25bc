"""ConvPass: a bottleneck with a convolution over neighbouring tokens.

https://arxiv.org/abs/2207.07039
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.bottleneck import bottleneck_size
from petl_modules.blocks.narrow_linear import narrow_linear


def quick_gelu(x):
    """Return the sigmoid approximation of GELU, ``x * sigmoid(1.702 x)``."""
    return x * torch.sigmoid(1.702 * x)


class TokenConvolution(nn.Module):
    """``dropout(QuickGELU(conv(QuickGELU(hidden))))`` between two projections.

    Arguments
    ---------
    width : int
        r, the number of channels.
    dropout : float
        Probability of dropping a value of the result.
    """

    def __init__(self, width, dropout):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden, mask=None):
        """Return ``[batch, time, r]``.

        The convolutions of several blocks are the groups of one convolution.
        """
        hidden = quick_gelu(hidden)
        if mask is not None:
            hidden = hidden * mask.unsqueeze(-1)
        weight, bias = self.conv.weight, self.conv.bias
        blocks = len(weight) // weight.shape[1]
        hidden = F.conv1d(
            hidden.transpose(1, 2), weight, bias, padding=1, groups=blocks
        )
        return self.dropout(quick_gelu(hidden.transpose(1, 2)))


class ConvPass(nn.Module):
    """Bottleneck with a convolution over neighbouring tokens.

    ``up_proj(dropout(QuickGELU(conv(QuickGELU(down_proj(x))))))``, with a
    convolution over three tokens.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    reduction : float
        The bottleneck is ``round(min(d_in, d_out) / reduction)`` wide.
    dropout : float
        Probability of dropping a value in front of the up projection.
    init_std : float
        Standard deviation of the up projection at the start. With 0, the
        default, the block outputs 0 and training starts from the frozen
        model.

    Example
    -------
    >>> block = ConvPass(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    groupable = True

    def __init__(
        self, d_in, d_out=None, *, reduction=64, dropout=0.1, init_std=0.0
    ):
        super().__init__()
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.down_proj = nn.Linear(d_in, width)
        self.inner = TokenConvolution(width, dropout)
        self.up_proj = nn.Linear(width, d_out)
        nn.init.xavier_uniform_(self.down_proj.weight)
        nn.init.zeros_(self.down_proj.bias)
        nn.init.xavier_uniform_(self.inner.conv.weight)
        nn.init.zeros_(self.inner.conv.bias)
        nn.init.normal_(self.up_proj.weight, std=init_std)
        nn.init.zeros_(self.up_proj.bias)

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``Bottleneck.forward``)."""
        hidden = self.inner(self.down_proj(x), mask)
        return narrow_linear(hidden, self.up_proj.weight, self.up_proj.bias)
