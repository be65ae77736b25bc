"""LoRA: low-rank blocks parallel to linear layers, and their merging.

https://arxiv.org/abs/2106.09685
"""

from functools import partial

import torch
from torch import nn

from petl_modules.blocks import LowRank
from petl_modules.methods.adapted import Adapted
from petl_modules.methods.insertion import Insert
from petl_modules.utils import HparamsError


class LoRA:
    """``Insert`` of ``LowRank`` blocks at linear sites of every layer.

    Arguments
    ---------
    at : list of str
        Sites that are linear layers: ``query``, ``key``, ``value``,
        ``output``, ``ffn_in``, ``ffn_out``.
    rank : int
        Rank of the update (not a reduction of the hidden size).
    alpha : float
        The update is scaled by ``alpha / rank``.
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.

    Raises
    ------
    HparamsError
        If ``rank`` is below 1, or a site is no linear layer.

    Example
    -------
    >>> LoRA(at=["query", "value", "ffn_in"], rank=6, alpha=6.0).rank
    6
    """

    def __init__(
        self, *, at=("query", "value"), rank=6, alpha=6.0, layers="all"
    ):
        if rank < 1:
            raise HparamsError(
                f"rank is {rank}: LoRA needs a rank of 1 or more"
            )
        self.at = list(at)
        self.rank = rank
        self.alpha = alpha
        self.layers = layers

    def insertions(self, sites):
        """Yield one ``Insertion`` for each site and layer."""
        sites.select(self.at)  # names what does not exist
        for name in self.at:
            if name not in sites.linear():
                raise HparamsError(
                    f"LoRA adapts linear layers, and '{name}' is none; "
                    f"choose from {', '.join(sites.linear())}"
                )
        block = partial(LowRank, rank=self.rank, alpha=self.alpha)
        insert = Insert(at=self.at, block=block, layers=self.layers)
        yield from insert.insertions(sites)


@torch.no_grad()
def merge_lora(model):
    """Merge mergeable blocks into the base weights: W <- W + (alpha / rank) B A.

    For evaluation: the outputs are the same up to rounding, and the blocks
    cost nothing. Weights stored in bfloat16, in which the updates would be
    lost to rounding, are left as they are.

    Arguments
    ---------
    model : torch.nn.Module
        A model with ``LoRA`` in it.

    Returns
    -------
    callable
        Restores the weights, bit for bit.
    """
    originals = []
    for module in model.modules():
        if not isinstance(module, Adapted) or module.merged:
            continue
        if module.mergeable:
            weight = module.base.weight
            # The weight of another wrapper is computed, not stored
            stored = isinstance(weight, nn.Parameter)
            if stored and weight.dtype == torch.float32:
                originals.append((module, weight.data))
                weight.data = weight + module.block.delta()
                module.merged = True
    return partial(_unmerge, originals)


def _unmerge(originals):
    for module, weight in originals:
        module.base.weight.data = weight
        module.merged = False
