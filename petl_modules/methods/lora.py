"""LoRA: a low-rank branch beside the attention projections.

https://arxiv.org/abs/2106.09685

Authors
 * The PETL audio recipes team 2026
"""

from functools import partial

import torch
from torch import nn

from petl_modules.blocks import LowRank
from petl_modules.methods.insertion import Adapted, Insertion


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
