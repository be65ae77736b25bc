"""Experts of a mixture: drawn one by one, held in few tensors.

A tensor of its own for every weight of every expert costs a step more time
than the products with them: each is put together with the others in the
forward pass, taken apart in the backward pass, and updated alone.

Authors
 * The PETL audio recipes team 2026
"""

import torch
from torch import nn

from petl_modules.blocks.bottleneck import Bottleneck
from petl_modules.blocks.convpass import ConvPass


def draw_experts(d_model, expert, experts):
    """Independently drawn experts.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    expert : callable
        Makes one block from ``d_model``, e.g. a class or a ``!name:`` entry
        of a YAML file.
    experts : int
        How many.

    Returns
    -------
    list of torch.nn.Module

    Raises
    ------
    ValueError
        If ``experts`` is below 1.
    """
    if experts < 1:
        raise ValueError(
            f"experts is {experts}: a mixture needs at least one expert"
        )
    return [expert(d_model) for _ in range(experts)]


def groupable(experts):
    """Whether ``GroupedExperts`` can hold these."""
    return {type(expert) for expert in experts} in ({Bottleneck}, {ConvPass})


class GroupedExperts(nn.Module):
    """Experts of the form ``up(inner(down(x)))`` in as few tensors as can be.

    They lie as the products of a mixture take them. With n experts, each r
    wide:

    - ``down`` ``[n r, d]``, expert by expert; with a router ``[n r + n, d]``,
      its rows at the end;
    - ``down_bias`` ``[n r]`` or ``[n r + n]``, as ``down``;
    - ``up`` ``[n r + n, d]``, transposed, expert by expert, then the n biases;
    - ``inner``, the first expert's module, with the parameters of all,
      concatenated along the first dimension. It is given the hidden values
      of all, side by side.

    Arguments
    ---------
    experts : list of torch.nn.Module
        The experts, all ``Bottleneck`` or all ``ConvPass``. They are used up:
        the first one's ``inner`` becomes that of all.
    router : torch.nn.Linear or None
        A layer that starts from the same input as they do.

    Example
    -------
    >>> experts = [Bottleneck(768, reduction=128) for _ in range(7)]
    >>> GroupedExperts(experts, router=nn.Linear(768, 7)).down.shape
    torch.Size([49, 768])
    """

    def __init__(self, experts, router=None):
        super().__init__()
        self.n = len(experts)
        down = [expert.down for expert in experts]
        down += [] if router is None else [router]
        up = [expert.up for expert in experts]
        self.down = _concatenated([layer.weight for layer in down])
        self.down_bias = _concatenated([layer.bias for layer in down])
        self.up = _concatenated(
            [layer.weight.t() for layer in up]
            + [layer.bias.unsqueeze(0) for layer in up]
        )
        self.inner = experts[0].inner
        for own in zip(*(expert.inner.parameters() for expert in experts)):
            own[0].data = torch.cat(own).detach()


def _concatenated(tensors):
    return nn.Parameter(torch.cat(tensors).detach())
