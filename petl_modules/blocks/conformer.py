"""The convolution module of the Conformer, as an adapter.

https://arxiv.org/abs/2312.03694, section 2
"""

import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.bottleneck import bottleneck_size
from petl_modules.blocks.masked_batch_norm import MaskedBatchNorm
from petl_modules.blocks.narrow_linear import narrow_linear


class Conformer(nn.Module):
    """The convolution module of the Conformer, r channels wide.

    [LayerNorm], pointwise convolution to 2r, GLU, depthwise convolution,
    BatchNorm, SiLU, pointwise convolution to ``d_out``, dropout. Padding
    is left out of the convolution and of the BatchNorm statistics.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    reduction : float
        r is ``round(min(d_in, d_out) / reduction)``.
    kernel_size : int
        Width of the depthwise convolution in tokens. An even width needs one
        more token of padding behind the sequence than in front of it.
    dropout : float
        Probability of dropping a value of the result.
    input_norm : bool
        Whether to normalise the input. Encoders that normalise in front of
        the sublayer, as AST does, need no norm here.

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
        d_in,
        d_out=None,
        *,
        reduction=96,
        kernel_size=31,
        dropout=0.0,
        input_norm=False,
    ):
        super().__init__()
        if kernel_size < 1:
            raise ValueError(f"kernel_size {kernel_size} must be at least 1")
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.norm = nn.LayerNorm(d_in) if input_norm else nn.Identity()
        self.pointwise_in = nn.Linear(d_in, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width)
        self.batch_norm = MaskedBatchNorm(width)
        self.pointwise_out = nn.Linear(width, d_out)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.pointwise_out.weight)
        nn.init.zeros_(self.pointwise_out.bias)

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``Bottleneck.forward``)."""
        hidden = gated_convolution(
            self.pointwise_in(self.norm(x)),
            self.depthwise,
            self.batch_norm,
            mask,
        )
        out = self.pointwise_out
        return self.dropout(narrow_linear(hidden, out.weight, out.bias))


def gated_convolution(x, depthwise, norm, mask=None):
    """Return ``SiLU(norm(depthwise(GLU(x))))``, with as many frames.

    Arguments
    ---------
    x : torch.Tensor
        ``[batch, time, 2 r]``: values and their gates.
    depthwise : torch.nn.Conv1d
        Of r channels. Around the sequence are zeros, and with an even kernel
        one more behind it than in front of it.
    norm : callable
        Called with ``[batch, time, r]`` and the mask.
    mask : torch.Tensor or None
        True for real frames, ``[batch, time]``; padded ones become zeros, too.

    Returns
    -------
    torch.Tensor
        ``[batch, time, r]``.
    """
    hidden = F.glu(x, dim=-1)
    if mask is not None:
        hidden = hidden * mask.unsqueeze(-1)
    (kernel,) = depthwise.kernel_size
    left = (kernel - 1) // 2
    hidden = F.pad(hidden.transpose(1, 2), (left, kernel - 1 - left))
    return F.silu(norm(depthwise(hidden).transpose(1, 2), mask))
