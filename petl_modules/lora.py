"""LoRA: a low-rank branch beside the attention projections.

https://arxiv.org/abs/2106.09685

Authors
 * The PETL audio recipes team 2026
"""

import math
from functools import partial

import torch
from torch import nn

from petl_modules.insertion import Adapted, Insertion
from petl_modules.products import widen


class LowRank(nn.Module):
    """``B(alpha / rank * A(x))``, without biases.

    Arguments
    ---------
    d_in : int
        Size of the projection's input.
    d_out : int
        Size of its output.
    rank : int
        Width between A and B.
    alpha : float
        The branch is scaled by ``alpha / rank``.

    Example
    -------
    >>> import torch
    >>> LowRank(768, 768, rank=6, alpha=6.0)(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_in, d_out, *, rank, alpha):
        super().__init__()
        self.scale = alpha / rank
        self.a = nn.Linear(d_in, rank, bias=False)
        self.b = nn.Linear(rank, d_out, bias=False)
        nn.init.kaiming_uniform_(self.a.weight, a=math.sqrt(5))
        nn.init.zeros_(self.b.weight)

    def forward(self, x, valid=None):
        """Returns the branch: ``[..., d_in]`` to ``[..., d_out]``."""
        return widen(self.scale * self.a(x), self.b.weight)

    def product(self):
        """The branch as one matrix, ``[d_out, d_in]``."""
        return self.b.weight @ (self.scale * self.a.weight)


@torch.no_grad()
def merge(model):
    """Puts low-rank branches into the weights they stand beside.

    For evaluation: the outputs are the same but for rounding, and the
    branches cost nothing. Weights stored in bfloat16, which would round the
    branches away, are left as they are.

    Arguments
    ---------
    model : torch.nn.Module
        A model with ``LoRA`` in it.

    Returns
    -------
    callable
        Takes the branches out again, bit for bit.
    """
    originals = []
    for module in model.modules():
        if isinstance(module, Adapted) and isinstance(module.block, LowRank):
            weight = getattr(module.base, "weight", None)  # none of a wrapper
            if weight is not None and weight.dtype == torch.float32:
                originals.append((module, weight.data))
                weight.data = weight + module.block.product()
                module.merged = True
    return partial(_restore, originals)


def _restore(originals):
    for module, weight in originals:
        module.base.weight.data = weight
        module.merged = False


class LoRA:
    """Low-rank branches beside linear sites of every layer.

    Arguments
    ---------
    at : list of str
        Sites that are linear layers: ``query``, ``key``, ``value``,
        ``output``.
    rank : int
        Rank of the branches (not a reduction of the hidden size).
    alpha : float
        The branches are scaled by ``alpha / rank``.

    Raises
    ------
    ValueError
        If ``rank`` is below 1 or above the layer's width, or a site is no
        linear layer.

    Example
    -------
    >>> LoRA(at=["query", "value"], rank=6, alpha=6.0).rank
    6
    """

    def __init__(self, *, at=("query", "value"), rank=6, alpha=6.0):
        if rank < 1:
            raise ValueError(f"rank is {rank}: LoRA needs a rank of 1 or more")
        self.at = list(at)
        self.rank = rank
        self.alpha = alpha

    def insertions(self, sites):
        """Yields one ``Insertion`` a site and layer."""
        wrap = partial(Adapted, placement="parallel")
        for site in sites.in_every_layer(self.at):
            base = sites.module(site)
            if not isinstance(base, nn.Linear):
                raise ValueError(
                    f"LoRA stands beside linear layers, and '{site}' is a "
                    f"{type(base).__name__}; choose from query, key, value, "
                    "output"
                )
            width = min(base.in_features, base.out_features)
            if self.rank > width:
                raise ValueError(
                    f"rank is {self.rank}: '{site}' is {width} wide, and no "
                    "rank above that adds anything"
                )
            block = LowRank(
                base.in_features,
                base.out_features,
                rank=self.rank,
                alpha=self.alpha,
            )
            yield Insertion(site, block, wrap)
