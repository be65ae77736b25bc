"""Pooling by prototypes (https://arxiv.org/abs/2509.24901)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.utils import HparamsError


class PrototypePooling(nn.Module):
    """How near the nearest real token comes to each trained prototype.

    The output of a prototype is its largest cosine with a token. Of a prototype
    only the signs count: it is a vector of -1 and 1. Gradients pass through the
    signs as if they were not there (straight-through estimator).

    Arguments
    ---------
    d_model : int
        Size of the hidden states.
    prototypes : int
        How many prototypes. No class has prototypes of its own.

    Raises
    ------
    HparamsError
        If ``prototypes`` is below 1.

    Example
    -------
    >>> pooling = PrototypePooling(2, prototypes=1)
    >>> _ = pooling.prototypes.data.copy_(torch.tensor([[0.3, -0.1]]))
    >>> hidden = torch.tensor([[[1.0, 1.0], [5.0, 0.0], [9.0, -9.0]]])
    >>> pooling(hidden, torch.tensor([[True, True, False]]))
    tensor([[0.7071]], grad_fn=<AmaxBackward0>)
    """

    def __init__(self, d_model, *, prototypes=200):
        super().__init__()
        if prototypes < 1:
            raise HparamsError(
                f"prototypes is {prototypes}: choose 1 or more, such as 200"
            )
        self.prototypes = nn.Parameter(torch.empty(prototypes, d_model))
        nn.init.normal_(self.prototypes, std=0.02)

    def width(self, d_model):
        """Return the size of the pooled vector."""
        return len(self.prototypes)

    def forward(self, hidden, mask=None):
        """Return ``[batch, prototypes]``; see ``MeanPooling.forward``."""
        signs = torch.where(self.prototypes >= 0, 1.0, -1.0)
        signs = signs + (self.prototypes - self.prototypes.detach())
        directions = F.normalize(signs, dim=-1)
        cosines = directions @ F.normalize(hidden, dim=-1).transpose(1, 2)
        if mask is not None:
            cosines = cosines.masked_fill(~mask.unsqueeze(1), -math.inf)
        return cosines.amax(-1)
