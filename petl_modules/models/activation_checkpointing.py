"""Recomputation: states that the backward pass computes again.

https://arxiv.org/abs/1604.06174

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
from functools import partial

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from petl_modules.methods import Adapted

CHOICES = ("none", "feed_forward", "layer")


class Recomputed(nn.Module):
    """A module of which only the input is kept for the backward pass.

    Random draws are the same when it is computed again, and the statistics of
    batch normalisation are updated once.

    Arguments
    ---------
    base : torch.nn.Module
        Called with the hidden states first.

    Example
    -------
    >>> module = Recomputed(nn.Linear(8, 8))
    >>> module(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, x, *args, **kwargs):
        """Returns what the module returns."""
        if not torch.is_grad_enabled():
            return self.base(x, *args, **kwargs)
        run = self.base
        if not torch.compiler.is_compiling():  # which takes care of both
            run = _Passes(self.base)
        return checkpoint(run, x, *args, use_reentrant=False, **kwargs)


class _Passes:
    """A module that is run again as it was run first.

    Padding masks are those of the first pass, even if another forward came in
    between, and buffers stay as the first pass left them.
    """

    def __init__(self, base):
        self.base = base
        self.again = False
        self.masks = [
            (module, module.valid)
            for module in base.modules()
            if isinstance(module, Adapted)
        ]

    def __call__(self, *args, **kwargs):
        for module, valid in self.masks:
            module.valid = valid
        if self.again:
            with _buffers_set_aside(self.base):
                return self.base(*args, **kwargs)
        self.again = True
        return self.base(*args, **kwargs)


@contextlib.contextmanager
def _buffers_set_aside(module):
    """Within it, what is written to buffers is lost."""
    buffers = [(m, m._buffers) for m in module.modules() if m._buffers]
    for part, own in buffers:
        part._buffers = {
            name: value if value is None else value.clone()
            for name, value in own.items()
        }
    try:
        yield
    finally:
        for part, own in buffers:
            part._buffers = own


class Unneeded(nn.Module):
    """A frozen linear layer that recomputation need not reach.

    What it keeps for the backward pass is its weight, which is there anyway:
    recomputation ends in front of it where nothing behind is asked for. (Not
    where autocast rounds the weight: that would keep a copy of it.)

    Arguments
    ---------
    base : torch.nn.Linear
        The layer.
    """

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, x):
        """Returns what the layer returns."""
        rounded = (
            torch.is_autocast_enabled(x.device.type)
            and torch.get_autocast_dtype(x.device.type)
            != self.base.weight.dtype
        )
        # A compiler drops what is unneeded by itself
        if rounded or torch.compiler.is_compiling():
            return self.base(x)
        with saved_tensors_hooks(_itself, _itself):
            return self.base(x)


def _itself(tensor):
    return tensor


def recomputations(sites, choice):
    """What to wrap in an encoder so that its backward pass recomputes.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    choice : str
        ``none``; ``feed_forward``: the feed-forward of each layer with the
        norm that feeds it; ``layer``: each layer.

    Returns
    -------
    list of tuple
        Module paths, and what makes of the module there the one that takes
        its place; in this order, after all that is inserted at these paths.

    Raises
    ------
    ValueError
        If there is no such choice.
    """
    if choice not in CHOICES:
        raise ValueError(
            f"recompute '{choice}' is none of: {', '.join(CHOICES)}"
        )
    if choice == "none":
        return []
    wraps = []
    for layer in (f"layers.{index}" for index in range(sites.n_layers)):
        output = f"{sites.path(layer)}.{sites.layout.ffn_output}"
        if not sites.model.get_submodule(output).weight.requires_grad:
            wraps.append((output, Unneeded))
        # Behind a sublayer, the norm feeds the residual as well
        norm = sites.layout.pre_norm and sites.feeding_norm(f"{layer}.ffn")
        if choice == "layer":
            wraps.append((sites.path(layer), Recomputed))
        elif not norm:
            wraps.append((sites.path(f"{layer}.ffn"), Recomputed))
        else:
            behind = partial(_behind, sites.module(norm))
            wraps.append((sites.path(f"{layer}.ffn"), behind))
            wraps.append((sites.path(norm), _nothing))
    return wraps


def unkept_norms(sites, choice):
    """The norms in the layers whose output the backward pass can make again.

    Of those, what they put out need not be kept, see ``petl_modules.methods.norm_recompute``.
    Not where trained layers of the backbone keep it, and not within what is
    recomputed.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's, frozen and untouched.
    choice : str
        As for ``recomputations``.

    Returns
    -------
    list of str
        Sites.
    """
    if choice == "layer":
        return []
    names = [name for name in sites.layout.in_layer if name.endswith("norm")]
    if choice == "feed_forward":
        names.remove("ffn_norm")
    return [
        norm
        for norm in sites.in_every_layer(names)
        if not _trains(sites.module(norm.rpartition(".")[0]))
    ]


def _trains(layer):
    """Whether a linear layer in it trains."""
    return any(
        module.weight.requires_grad
        for module in layer.modules()
        if isinstance(module, nn.Linear)
    )


def _behind(norm, ffn):
    return Recomputed(nn.Sequential(norm, ffn))


def _nothing(norm):
    return nn.Identity()
