"""Put blocks into the weights of the layers that they adapt, for evaluation."""

from functools import partial

import torch
from torch import nn

from petl_modules.methods.adapted import Adapted


@torch.no_grad()
def merge_methods(model):
    """Merge LoRA, and other blocks that are a change of weights, into these.

    For evaluation: the outputs are the same up to rounding, and the blocks
    cost nothing. Weights stored in fewer bits, in which the updates would be
    lost to rounding, are left as they are.

    Arguments
    ---------
    model : torch.nn.Module
        A model with ``LoRA``, ``IA3`` or ``SSF`` in it.

    Returns
    -------
    callable
        Restores weights and biases, bit for bit.
    """
    originals = []
    for module in model.modules():
        if not isinstance(module, Adapted) or module.merged:
            continue
        if module.mergeable:
            weight, bias = module.base.weight, module.base.bias
            # The weight of another wrapper is computed, not stored
            stored = isinstance(weight, nn.Parameter)
            if stored and weight.dtype == torch.float32:
                kept = bias if bias is None else bias.data
                originals.append((module, weight.data, kept))
                _set(module.base, *module.block.merge(weight, bias))
                module.merged = True
    return partial(_unmerge, originals)


def _set(layer, weight, bias):
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias


def _unmerge(originals):
    for module, weight, bias in originals:
        _set(module.base, weight, bias)
        module.merged = False
