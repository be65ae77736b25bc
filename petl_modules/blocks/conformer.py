"""The convolution module of the Conformer, as an adapter.

https://arxiv.org/abs/2312.03694, section 2

Authors
 * The PETL audio recipes team 2026
"""

import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.bottleneck import bottleneck_size
from petl_modules.blocks.masked_batch_norm import BatchNorm
from petl_modules.blocks.narrow_linear import widen


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
    >>> import torch
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
