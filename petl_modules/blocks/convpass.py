"""ConvPass: a bottleneck with a convolution over neighbouring tokens.

https://arxiv.org/abs/2207.07039

Authors
 * The PETL audio recipes team 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.bottleneck import bottleneck_size
from petl_modules.blocks.narrow_linear import widen


def quick_gelu(x):
    """The sigmoid approximation of GELU, ``x * sigmoid(1.702 x)``."""
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

    def forward(self, hidden, valid=None):
        """``[batch, time, r]`` to the same.

        The convolutions of several blocks are the groups of one.
        """
        hidden = quick_gelu(hidden)
        if valid is not None:
            hidden = hidden * valid.unsqueeze(-1)
        weight, bias = self.conv.weight, self.conv.bias
        blocks = len(weight) // weight.shape[1]
        hidden = F.conv1d(
            hidden.transpose(1, 2), weight, bias, padding=1, groups=blocks
        )
        return self.dropout(quick_gelu(hidden.transpose(1, 2)))


class ConvPass(nn.Module):
    """Bottleneck with a convolution over neighbouring tokens.

    ``up(dropout(QuickGELU(conv(QuickGELU(down(x))))))``, the convolution
    three tokens wide.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    reduction : float
        The bottleneck is ``round(d_model / reduction)`` wide.
    dropout : float
        Probability of dropping a value in front of the up projection.
    init_std : float
        Standard deviation of the up projection at the start. 0, the default,
        makes the branch silent at step 0.

    Example
    -------
    >>> block = ConvPass(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_model, *, reduction=64, dropout=0.1, init_std=0.0):
        super().__init__()
        width = bottleneck_size(d_model, reduction)
        self.down = nn.Linear(d_model, width)
        self.inner = TokenConvolution(width, dropout)
        self.up = nn.Linear(width, d_model)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.xavier_uniform_(self.inner.conv.weight)
        nn.init.zeros_(self.inner.conv.bias)
        nn.init.normal_(self.up.weight, std=init_std)
        nn.init.zeros_(self.up.bias)

    def forward(self, x, valid=None):
        """Returns the branch (shapes as in ``Bottleneck.forward``)."""
        hidden = self.inner(self.down(x), valid)
        return widen(hidden, self.up.weight, self.up.bias)
