"""Bottleneck adapter: two projections with an activation between them.

https://arxiv.org/abs/1902.00751
"""

import math

import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.narrow_linear import narrow_linear

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}


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


class Activation(nn.Module):
    """Activation and dropout between the projections of a block, or several.

    Arguments
    ---------
    name : str
        ``gelu`` or ``relu``.
    dropout : float
        Share of the hidden values that training sets to 0.

    Raises
    ------
    ValueError
        If there is no such activation, or no such share.
    """

    def __init__(self, name="gelu", dropout=0.0):
        super().__init__()
        if name not in ACTIVATIONS:
            raise ValueError(
                f"activation '{name}' is none of: {', '.join(ACTIVATIONS)}"
            )
        self.name = name
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden, mask=None):
        """Return ``[batch, time, r]``; ``mask`` changes nothing."""
        return self.dropout(ACTIVATIONS[self.name](hidden))


class Bottleneck(nn.Module):
    """Bottleneck adapter: ``scale * [norm](up_proj(act(down_proj(x))))``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    reduction : float
        The bottleneck is ``round(min(d_in, d_out) / reduction)`` wide.
    init_std : float or None
        Standard deviation of the up projection at the start. With 0, the
        default, the block outputs 0 and training starts from the frozen
        model. None: the up projection is 0, and the down projection uniform
        within ``1 / sqrt(d_in)`` (https://arxiv.org/abs/2211.02227).
    activation : str
        ``gelu`` or ``relu``.
    dropout : float
        Share of the bottleneck's values that training sets to 0.
    scale : float
        Factor of the output.
    down_std : float
        Standard deviation of the down projection at the start.
    output_norm : bool
        Whether a LayerNorm stands behind the up projection (E-adapter,
        https://arxiv.org/abs/2212.02780). It multiplies what is small: by up
        to ``1 / sqrt(eps)``, 316, and the gradients of the projections alike.
        With both standard deviations 1e-3, the block starts near 0, thanks to
        ``eps`` alone; with ``init_std`` 0 it starts at 0.

    Raises
    ------
    ValueError
        See ``bottleneck_size`` and ``Activation``; if ``down_std`` is not
        above 0: an up projection of 0 would then never change.

    Example
    -------
    >>> import torch
    >>> block = Bottleneck(768, reduction=64)
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
        init_std=0.0,
        activation="gelu",
        dropout=0.0,
        scale=1.0,
        down_std=0.02,
        output_norm=False,
    ):
        super().__init__()
        if not down_std > 0:
            raise ValueError(f"down_std is {down_std}: it must be above 0")
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.scale = scale
        self.groupable = scale == 1 and not output_norm
        self.down_proj = nn.Linear(d_in, width)
        self.inner = Activation(activation, dropout)
        self.up_proj = nn.Linear(width, d_out)
        self.output_norm = nn.LayerNorm(d_out) if output_norm else None
        if init_std is None:
            nn.init.kaiming_uniform_(self.down_proj.weight, a=math.sqrt(5))
        else:
            nn.init.normal_(self.down_proj.weight, std=down_std)
        nn.init.zeros_(self.down_proj.bias)
        nn.init.normal_(self.up_proj.weight, std=init_std or 0.0)
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
        weight, bias = self.up_proj.weight, self.up_proj.bias
        if self.output_norm is not None:
            return self.scale * self.output_norm(
                narrow_linear(hidden, weight, bias)
            )
        if self.scale != 1:  # in front of the projection, where it is narrow
            hidden, bias = self.scale * hidden, self.scale * bias
        return narrow_linear(hidden, weight, bias)
