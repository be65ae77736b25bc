"""L-adapter: what the head reads of one layer.

https://arxiv.org/abs/2212.02780
"""

import torch.nn.functional as F
from torch import nn


class LayerAdapter(nn.Module):
    """``LayerNorm(GELU(linear(y)))`` of a layer's output y, without residual.

    It stands beside the encoder, between a layer and the head (see
    ``petl_modules.models.LayerSum``), and is not put into it: it changes no
    layer, and has no output of 0 at the start.

    Arguments
    ---------
    in_features : int
        Width of the layer.
    out_features : int
        Width of the output.
    init_std : float
        Standard deviation of the weights at the start; the biases are 0.

    Example
    -------
    >>> import torch
    >>> LayerAdapter(768, out_features=512)(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 512])
    """

    def __init__(self, in_features, *, out_features=512, init_std=1e-3):
        super().__init__()
        self.out_features = out_features
        self.linear = nn.Linear(in_features, out_features)
        self.norm = nn.LayerNorm(out_features)
        nn.init.normal_(self.linear.weight, std=init_std)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        """Return ``[..., out_features]`` for ``[..., in_features]``."""
        return self.norm(F.gelu(self.linear(x)))
