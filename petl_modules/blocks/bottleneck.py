"""Bottleneck adapter: two projections with a GELU between them.

https://arxiv.org/abs/1902.00751

Authors
 * The PETL audio recipes team 2026
"""

import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.narrow_linear import widen


def bottleneck_size(d_model, reduction):
    """Width r of a bottleneck, ``round(d_model / reduction)``.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
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
    """GELU between two projections, of one block or of many side by side."""

    def forward(self, hidden, valid=None):
        """``[batch, time, r]`` to the same; ``valid`` changes nothing."""
        return F.gelu(hidden)


class Bottleneck(nn.Module):
    """Bottleneck adapter: ``up(GELU(down(x)))``.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    reduction : float
        The bottleneck is ``round(d_model / reduction)`` wide.
    init_std : float
        Standard deviation of the up projection at the start. 0, the default,
        makes the branch silent at step 0.

    Example
    -------
    >>> import torch
    >>> block = Bottleneck(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_model, *, reduction=64, init_std=0.0):
        super().__init__()
        width = bottleneck_size(d_model, reduction)
        self.down = nn.Linear(d_model, width)
        self.inner = Gelu()
        self.up = nn.Linear(width, d_model)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.normal_(self.up.weight, std=init_std)
        nn.init.zeros_(self.up.bias)

    def forward(self, x, valid=None):
        """Returns the branch.

        Arguments
        ---------
        x : torch.Tensor
            Hidden states ``[batch, time, d_model]``.
        valid : torch.Tensor or None
            Mask of real frames, ``[batch, time]`` bool. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_model]``.
        """
        hidden = self.inner(self.down(x), valid)
        return widen(hidden, self.up.weight, self.up.bias)
