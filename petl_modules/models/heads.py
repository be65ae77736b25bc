"""Heads: from a pooled vector to the outputs of a task."""

from torch import nn


class LinearHead(nn.Module):
    """A linear layer, with a LayerNorm in front of it or without.

    The weights start Xavier-uniform and the biases at 1e-4
    (https://arxiv.org/abs/2211.02227).

    Arguments
    ---------
    d_in : int
        Width of the input.
    out_features : int
        Number of outputs.
    norm : bool
        Whether to normalise the input.
    eps : float
        Added to the variance by the norm. That of AST's own head is 1e-12.

    Example
    -------
    >>> import torch
    >>> LinearHead(768, out_features=35, norm=True)(torch.rand(2, 768)).shape
    torch.Size([2, 35])
    """

    def __init__(self, d_in, *, out_features, norm=False, eps=1e-5):
        super().__init__()
        self.norm = nn.LayerNorm(d_in, eps) if norm else nn.Identity()
        self.linear = nn.Linear(d_in, out_features)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.constant_(self.linear.bias, 1e-4)

    def forward(self, x):
        """Return ``[..., out_features]`` for ``[..., d_in]``."""
        return self.linear(self.norm(x))
