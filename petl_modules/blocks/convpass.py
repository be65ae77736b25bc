"""ConvPass: a bottleneck with a convolution over neighbouring tokens or patches.

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


class GridConvolution(nn.Module):
    """``TokenConvolution`` over patches: frequency and time.

    The patches are the last tokens, one row of the grid after another. Tokens
    in front of them (CLS, prompts) are images of one patch each.

    Arguments
    ---------
    width, dropout
        See ``TokenConvolution``.

    Attributes
    ----------
    grid : tuple of int or None
        Rows and columns of the patches. The method sets it.

    Raises
    ------
    ValueError
        In ``forward``, if there is no grid, or there are fewer tokens.
    """

    def __init__(self, width, dropout):
        super().__init__()
        self.grid = None
        self.conv = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden, mask=None):
        """Return ``[batch, time, r]``; see ``TokenConvolution.forward``."""
        apart = hidden.shape[1] - self._patches()
        if apart < 0:
            raise ValueError(
                f"{hidden.shape[1]} tokens do not fill a grid of {self.grid} "
                "patches: a block over patches reads all tokens of a layer"
            )
        hidden = quick_gelu(hidden)
        if mask is not None:
            hidden = hidden * mask.unsqueeze(-1)
        weight, bias = self.conv.weight, self.conv.bias
        blocks = len(weight) // weight.shape[1]
        others, image = hidden.transpose(1, 2).tensor_split([apart], -1)
        image = image.unflatten(-1, self.grid)
        image = F.conv2d(image, weight, bias, padding=1, groups=blocks)
        # Of the kernel, an image of one patch meets the centre alone. Letters:
        # b batch, n block, i channel, o channel of the result, t token
        centre = weight[:, :, 1, 1].unflatten(0, (blocks, -1))
        others = others.unflatten(1, (blocks, -1))
        others = torch.einsum("noi,bnit->bnot", centre, others).flatten(1, 2)
        others = others + bias.unsqueeze(-1)
        hidden = torch.cat([others, image.flatten(2)], -1).transpose(1, 2)
        return self.dropout(quick_gelu(hidden))

    def _patches(self):
        """Return the number of patches."""
        if self.grid is None:
            raise ValueError(
                "the grid is not set: methods set it, and a block of your own "
                "has to ('block.inner.grid = rows, columns')"
            )
        return self.grid[0] * self.grid[1]


CONVOLUTIONS = {"time": TokenConvolution, "grid": GridConvolution}


class ConvPass(nn.Module):
    """Bottleneck with a convolution over neighbouring tokens or patches.

    ``up_proj(dropout(QuickGELU(conv(QuickGELU(down_proj(x))))))``.

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
    over : str
        ``time``: the convolution is over three tokens, and starts
        Xavier-uniform. ``grid``: over 3 x 3 patches of frequency and time, and
        it starts as the identity, as in the paper; see ``GridConvolution``.

    Raises
    ------
    ValueError
        See ``bottleneck_size``; if ``over`` is neither.

    Example
    -------
    >>> block = ConvPass(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    groupable = True

    def __init__(
        self,
        d_in,
        d_out=None,
        *,
        reduction=64,
        dropout=0.1,
        init_std=0.0,
        over="time",
    ):
        super().__init__()
        if over not in CONVOLUTIONS:
            raise ValueError(
                f"over '{over}' is none of: {', '.join(CONVOLUTIONS)}"
            )
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.down_proj = nn.Linear(d_in, width)
        self.inner = CONVOLUTIONS[over](width, dropout)
        self.up_proj = nn.Linear(width, d_out)
        nn.init.xavier_uniform_(self.down_proj.weight)
        nn.init.zeros_(self.down_proj.bias)
        if over == "grid":
            nn.init.dirac_(self.inner.conv.weight)
        else:
            nn.init.xavier_uniform_(self.inner.conv.weight)
        nn.init.zeros_(self.inner.conv.bias)
        nn.init.normal_(self.up_proj.weight, std=init_std)
        nn.init.zeros_(self.up_proj.bias)

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``Bottleneck.forward``)."""
        hidden = self.inner(self.down_proj(x), mask)
        return narrow_linear(hidden, self.up_proj.weight, self.up_proj.bias)
