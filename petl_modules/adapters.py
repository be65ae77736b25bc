"""Adapter blocks: small branches that stand beside a frozen sublayer.

A block maps hidden states ``[batch, time, d_model]`` to the same shape and
returns its branch alone: residuals belong to ``petl_modules.insertion``.

Bottleneck: https://arxiv.org/abs/1902.00751
ConvPass: https://arxiv.org/abs/2207.07039
Conformer: https://arxiv.org/abs/2312.03694, section 2

Authors
 * The PETL audio recipes team 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.batch_norm import BatchNorm
from petl_modules.products import widen


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


class Conformer(nn.Module):
    """The convolution module of the Conformer, r channels wide.

    [LayerNorm], pointwise convolution to 2r, GLU, depthwise convolution,
    BatchNorm, SiLU, pointwise convolution to ``d_model``, dropout. Padding
    is left out of the convolution and of the BatchNorm statistics.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    reduction : float
        r is ``round(d_model / reduction)``.
    kernel_size : int
        Width of the depthwise convolution in tokens. Of the padding an even
        width needs, the smaller half stands in front.
    dropout : float
        Probability of dropping a value of the result.
    input_norm : bool
        Whether a LayerNorm stands in front. Encoders that normalise before
        the sublayer, as AST does, need none.

    Raises
    ------
    ValueError
        If ``kernel_size`` is below 1.

    Example
    -------
    >>> block = Conformer(768, reduction=96, kernel_size=8)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(
        self,
        d_model,
        *,
        reduction=96,
        kernel_size=31,
        dropout=0.0,
        input_norm=False,
    ):
        super().__init__()
        if kernel_size < 1:
            raise ValueError(f"kernel_size {kernel_size} must be at least 1")
        width = bottleneck_size(d_model, reduction)
        left = (kernel_size - 1) // 2
        self.same = (left, kernel_size - 1 - left)
        self.norm = nn.LayerNorm(d_model) if input_norm else nn.Identity()
        self.pointwise_in = nn.Linear(d_model, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width)
        self.batch_norm = BatchNorm(width)
        self.pointwise_out = nn.Linear(width, d_model)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.pointwise_out.weight)
        nn.init.zeros_(self.pointwise_out.bias)

    def forward(self, x, valid=None):
        """Returns the branch (shapes as in ``Bottleneck.forward``)."""
        hidden = F.glu(self.pointwise_in(self.norm(x)), dim=-1)
        if valid is not None:
            hidden = hidden * valid.unsqueeze(-1)
        hidden = F.pad(hidden.transpose(1, 2), self.same)
        hidden = self.depthwise(hidden).transpose(1, 2)
        hidden = self.batch_norm(hidden, valid)
        out = self.pointwise_out
        return self.dropout(widen(F.silu(hidden), out.weight, out.bias))
