"""DoRA: a low-rank update, and a trained length of each row of the weight.

https://arxiv.org/abs/2402.09353
"""

import torch
from torch import nn

from petl_modules.blocks.low_rank import LowRank


class DoRA(nn.Module):
    """A linear layer with the weight ``m / |V| * V``, where ``V = W + s B A``.

    W is the frozen weight, ``s B A`` a ``LowRank`` update, and ``|V|`` holds
    the norms of V's rows, through which no gradient goes (section 4.3 of the
    paper). The lengths m start as those of W's rows. What is trained is their
    change: weight decay draws them back there, and not to zero.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    rank, alpha
        See ``LowRank``.

    Example
    -------
    >>> layer = nn.Linear(768, 3072)
    >>> block = DoRA(768, 3072, rank=6, alpha=6.0)
    >>> block(torch.rand(2, 50, 768), layer).shape
    torch.Size([2, 50, 3072])
    >>> sum(p.numel() for p in block.parameters()) - 6 * (768 + 3072)
    3072
    """

    mergeable = True
    reads_layer = True

    def __init__(self, d_in, d_out=None, *, rank=6, alpha=6.0):
        super().__init__()
        self.low_rank = LowRank(d_in, d_out, rank=rank, alpha=alpha)
        # Of m: its difference to the lengths of W's rows
        self.magnitude = nn.Parameter(
            torch.zeros(self.low_rank.lora_b.out_features)
        )

    def forward(self, x, layer):
        """Return the layer's output with the other weight, ``[..., d_out]``.

        Arguments
        ---------
        x : torch.Tensor
            ``[..., d_in]``.
        layer : torch.nn.Module
            The frozen linear layer, with ``weight`` and ``bias``.
        """
        out = layer(x) + self.low_rank(x)
        product = out if layer.bias is None else out - layer.bias
        change = (self.ratio(layer.weight) - 1.0).to(out.dtype)
        return torch.addcmul(out, product.to(out.dtype), change)

    def ratio(self, weight):
        """Return ``m / |V|``, ``[d_out]``, for a weight ``[d_out, d_in]``."""
        with torch.no_grad():
            start = torch.linalg.vector_norm(weight.float(), dim=1)
            adapted = weight + self.low_rank.delta()
            norm = torch.linalg.vector_norm(adapted.float(), dim=1)
        return (start + self.magnitude) / norm

    def merge(self, weight, bias):
        """Return weight and bias of a layer with the block in them."""
        adapted = weight + self.low_rank.delta()
        return self.ratio(weight).unsqueeze(1) * adapted, bias
