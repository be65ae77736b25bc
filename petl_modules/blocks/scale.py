"""Scale: a trained factor for each value that a layer returns, or reads.

(IA)3, https://arxiv.org/abs/2205.05638, and SSF, https://arxiv.org/abs/2210.08823
"""

import torch
from torch import nn

SIDES = ("output", "input")


class Scale(nn.Module):
    """A layer's output times ``1 + scale``, plus ``shift``; or a scaled input.

    ``(1 + scale) * layer(x) + shift`` or ``layer((1 + scale) * x)``. Both
    vectors start at 0: weight decay draws the factors back to 1.

    Arguments
    ---------
    size : int
        How many values the layer returns, or reads.
    of : str
        ``output`` or ``input``: what is scaled.
    shift : bool
        Whether the output is shifted as well.

    Raises
    ------
    ValueError
        If there is no such side, or an input is to be shifted.

    Example
    -------
    >>> block = Scale(768, shift=True)
    >>> block(torch.rand(2, 50, 768), nn.LayerNorm(768)).shape
    torch.Size([2, 50, 768])
    """

    mergeable = True
    reads_layer = True

    def __init__(self, size, *, of="output", shift=False):
        super().__init__()
        if of not in SIDES:
            raise ValueError(f"of '{of}' is none of: {', '.join(SIDES)}")
        if shift and of == "input":
            raise ValueError("an input is scaled without a shift")
        self.of = of
        self.scale = nn.Parameter(torch.zeros(size))
        self.shift = nn.Parameter(torch.zeros(size)) if shift else None

    def forward(self, x, layer):
        """Return the layer's output with the factors, ``[..., d_out]``.

        Arguments
        ---------
        x : torch.Tensor
            ``[..., d_in]``.
        layer : torch.nn.Module
            A linear layer or a norm.
        """
        if self.of == "input":
            return layer(x * (1.0 + self.scale).to(x.dtype))
        out = layer(x)
        factor = (1.0 + self.scale).to(out.dtype)
        if self.shift is None:
            return out * factor
        return torch.addcmul(self.shift.to(out.dtype), out, factor)

    def merge(self, weight, bias):
        """Return weight and bias of a layer with the factors in them.

        Arguments
        ---------
        weight : torch.Tensor
            Of a linear layer ``[d_out, d_in]``, or of a norm ``[size]``.
        bias : torch.Tensor or None
            None: the layer has none, and the block no shift.
        """
        factor = 1.0 + self.scale
        if self.of == "input":
            return weight * factor, bias
        if bias is not None:
            bias = bias * factor
        if self.shift is not None:
            bias = bias + self.shift
        rows = factor if weight.dim() == 1 else factor.unsqueeze(1)
        return weight * rows, bias
