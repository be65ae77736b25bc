"""Bottleneck adapter: two projections with a GELU between them.

https://arxiv.org/abs/1902.00751
"""

import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.narrow_linear import narrow_linear


def bottleneck_size(d_model, reduction):
    """Return the width r of a bottleneck, ``round(d_model / reduction)``.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder. At a site from one width to another, the
        narrower of the two.
    reduction : float
        How many times narrower than ``d_model`` the bottleneck is.

    Returns
    -------
    int
        The width, at least 1.

    Raises
    ------
    ValueError
        If ``reduction`` is below 1 or larger than ``d_model``.

    Example
    -------
    >>> bottleneck_size(768, reduction=64)
    12
    """
    if not 1 <= reduction <= d_model:
        raise ValueError(
            f"reduction {reduction} does not fit a hidden size of {d_model}: "
            f"it must lie between 1 and {d_model} (the bottleneck is "
            "round(hidden size / reduction) wide)"
        )
    return round(d_model / reduction)


class Gelu(nn.Module):
    """GELU between the two projections of one block, or of several."""

    def forward(self, hidden, mask=None):
        """Return ``[batch, time, r]``; ``mask`` changes nothing."""
        return F.gelu(hidden)


class Bottleneck(nn.Module):
    """Bottleneck adapter: ``up_proj(GELU(down_proj(x)))``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    reduction : float
        The bottleneck is ``round(min(d_in, d_out) / reduction)`` wide.
    init_std : float
        Standard deviation of the up projection at the start. With 0, the
        default, the block outputs 0 and training starts from the frozen
        model.

    Example
    -------
    >>> import torch
    >>> block = Bottleneck(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    groupable = True

    def __init__(self, d_in, d_out=None, *, reduction=64, init_std=0.0):
        super().__init__()
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.down_proj = nn.Linear(d_in, width)
        self.inner = Gelu()
        self.up_proj = nn.Linear(width, d_out)
        nn.init.normal_(self.down_proj.weight, std=0.02)
        nn.init.zeros_(self.down_proj.bias)
        nn.init.normal_(self.up_proj.weight, std=init_std)
        nn.init.zeros_(self.up_proj.bias)

    def forward(self, x, mask=None):
        """Return the branch.

        Arguments
        ---------
        x : torch.Tensor
            Hidden states ``[batch, time, d_in]``.
        mask : torch.Tensor or None
            True for real frames, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_out]``.
        """
        hidden = self.inner(self.down_proj(x), mask)
        return narrow_linear(hidden, self.up_proj.weight, self.up_proj.bias)
