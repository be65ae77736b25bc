"""Activation (gradient) checkpointing: less memory for a second computation.

The backward pass computes hidden states again, from the inputs of layers or
feed-forwards, instead of keeping them: https://arxiv.org/abs/1604.06174
"""

import contextlib
from functools import partial

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from petl_modules.utils import HparamsError

CHOICES = ("none", "feed_forward", "layer")


class Recomputed(nn.Module):
    """A module of which only the input is kept for the backward pass.

    Random numbers are the same in both runs, and the statistics of batch
    normalisation are updated once.

    Arguments
    ---------
    base : torch.nn.Module
        Called with the hidden states first.
    context : petl_modules.blocks.ForwardContext
        The encoder's.

    Example
    -------
    >>> from petl_modules.blocks import ForwardContext
    >>> module = Recomputed(nn.Linear(8, 8), ForwardContext())
    >>> module(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, base, context):
        super().__init__()
        self.base = base
        self.context = context

    def forward(self, hidden_states, *args, **kwargs):
        """Return what the module returns."""
        if not torch.is_grad_enabled():
            return self.base(hidden_states, *args, **kwargs)
        if not torch.compiler.is_compiling():  # which preserves both by itself
            second = _SecondRun(self.base, self.context)
            contexts = (contextlib.nullcontext(), second)
            kwargs["context_fn"] = lambda: contexts
        return checkpoint(
            self.base, hidden_states, *args, use_reentrant=False, **kwargs
        )


class _SecondRun:
    """Compute with the first run's context; leave buffers as they are.

    Another forward pass may have changed the context since.
    """

    def __init__(self, base, context):
        self.base = base
        self.context = context
        self.first = context.state()

    def __enter__(self):
        self.current = self.context.state()
        self.context.restore(self.first)
        self.buffers = [(m, m._buffers) for m in self.base.modules()]
        for module, own in self.buffers:
            module._buffers = {
                name: value if value is None else value.clone()
                for name, value in own.items()
            }

    def __exit__(self, *error):
        for module, own in self.buffers:
            module._buffers = own
        self.context.restore(self.current)


class NotRecomputed(nn.Module):
    """The frozen linear layer that ends what is recomputed.

    Its backward pass needs only its weight. Saving that outside the
    checkpoint lets early stopping skip this product, one of the most
    expensive of a layer. (If autocast rounds the weight, a rounded copy would
    be saved: then the layer is recomputed.)

    Arguments
    ---------
    base : torch.nn.Linear
        The layer.
    """

    def __init__(self, base):
        super().__init__()
        self.base = base

    @property
    def weight(self):
        """The layer's weight."""
        return self.base.weight

    @property
    def bias(self):
        """The layer's bias."""
        return self.base.bias

    def forward(self, hidden_states):
        """Return what the layer returns."""
        device = hidden_states.device.type
        rounded = (
            torch.is_autocast_enabled(device)
            and torch.get_autocast_dtype(device) != self.weight.dtype
        )
        # A compiler removes unneeded recomputation by itself
        if rounded or torch.compiler.is_compiling():
            return self.base(hidden_states)
        with saved_tensors_hooks(_itself, _itself):
            return self.base(hidden_states)


def _itself(tensor):
    return tensor


def not_recomputed(sites, choice):
    """Return the linear layers that need no recomputation.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    choice : str
        See ``recomputations``.

    Returns
    -------
    list of tuple
        Module paths, each with the function that wraps the module there.
        These wrappers are inside all others.
    """
    if choice == "none":
        return []
    ends = sites.select([*sites.layout.feed_forwards.values()])
    return [
        (end.exit, NotRecomputed)
        for end in ends
        if not sites.model.get_submodule(end.exit).weight.requires_grad
    ]


def recomputations(sites, choice, context):
    """Return what to wrap so that the backward pass recomputes it.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    choice : str
        ``none``; ``feed_forward``: each feed-forward, with its norm if that
        feeds nothing else (a feed-forward without a module of its own is
        recomputed with its layer); ``layer``: each layer.
    context : petl_modules.blocks.ForwardContext
        The encoder's.

    Returns
    -------
    list of tuple
        Module paths, each with the function that wraps the module there.
        These wrappers are outside of all that methods insert.

    Raises
    ------
    HparamsError
        If there is no such choice.
    """
    if choice not in CHOICES:
        raise HparamsError(
            f"recompute '{choice}' is none of: {', '.join(CHOICES)}"
        )
    if choice == "none":
        return []
    ffns = sites.select([*sites.layout.feed_forwards])
    wrap = partial(Recomputed, context=context)
    if choice == "layer" or any(ffn.is_split for ffn in ffns):
        return [(layer.entry, wrap) for layer in sites.select_layers()]
    wraps = []
    for ffn in ffns:
        if ffn.norm and sites.layout.pre_norm:
            joined = partial(_with_norm, sites.model, ffn.norm, context)
            wraps.append((ffn.entry, joined))
            wraps.append((ffn.norm, _no_norm))
        else:
            wraps.append((ffn.entry, wrap))
    return wraps


def _with_norm(model, path, context, ffn):
    norm = model.get_submodule(path)  # with what methods have put around it
    return Recomputed(nn.Sequential(norm, ffn), context)


def _no_norm(norm):
    return nn.Identity()
