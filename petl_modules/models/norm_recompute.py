"""Recompute the norm output that feeds a block, instead of saving it.

LayerNorm saves its input for the backward pass anyway, and its output follows
from that quickly. Without this, a block parallel to a sublayer saves the
norm's output, one more vector for each token. The gain is in float32 without
``torch.compile``; elsewhere, blocks save what autograd saves.
"""

import functools

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from petl_modules.methods import Adapted

CHANGED = (
    "{} was changed between the forward pass and the backward pass, which "
    "needs it as it was"
)


def norms_to_recompute(sites, choice):
    """Return the norms in the layers whose output need not be saved.

    Without those in layers that train themselves, which save it, and in what
    activation checkpointing recomputes anyway.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's, frozen and untouched.
    choice : str
        See ``petl_modules.models.activation_checkpointing``.

    Returns
    -------
    list of torch.nn.Module
    """
    ffns = sites.select([*sites.layout.feed_forwards])
    inside = {ffn.norm for ffn in ffns} if choice == "feed_forward" else set()
    if choice == "layer" or (inside and any(ffn.is_split for ffn in ffns)):
        return []
    layers = [name for name in sites.layers if not _trains(sites.module(name))]
    names = [f"{layer}.{n}" for layer in layers for n in sites.layout.norms]
    return [sites.module(n) for n in names if sites.path(n) not in inside]


def _trains(layer):
    """Return whether a linear layer in it is trained."""
    linear = [m for m in layer.modules() if isinstance(m, nn.Linear)]
    return any(module.weight.requires_grad for module in linear)


def recompute_norms(model, norms):
    """Let the blocks in an encoder save nothing of these norms' outputs."""
    for norm in norms:
        norm.register_forward_hook(remember)
    adapted = [m for m in model.modules() if isinstance(m, Adapted)]
    for module in adapted if norms else ():
        module.block = NormRecomputed(module.block)


class NormRecomputed(nn.Module):
    """A block that does not save its input if a norm computed it.

    Arguments
    ---------
    block : torch.nn.Module
        The block. This module has its attributes that methods use.
    """

    def __init__(self, block):
        super().__init__()
        self.block = block
        self.mergeable = getattr(block, "mergeable", False)

    def merge(self, weight, bias):
        """Return weight and bias with the block in them, see ``Block``."""
        return self.block.merge(weight, bias)

    def forward(self, x, *others):
        """Return what the block returns."""
        origin = getattr(x, "origin", None)
        if origin is None or torch.compiler.is_compiling():
            return self.block(x, *others)
        make_again, made = origin
        storage = x.untyped_storage().data_ptr()

        def pack(tensor):
            same = tensor.untyped_storage().data_ptr() == storage
            if same and tensor._version == made:
                return tensor.size(), tensor.stride(), tensor.storage_offset()
            # The tensor itself would keep its own graph alive
            return tensor.detach(), tensor._version

        def unpack(kept):
            if len(kept) == 3:
                return make_again().as_strided(*kept)
            tensor, version = kept
            if tensor._version != version:
                raise RuntimeError(
                    CHANGED.format("a weight or value of a block")
                )
            return tensor

        with saved_tensors_hooks(pack, unpack):
            return self.block(x, *others)


def remember(norm, args, out):
    """Give a norm's output an ``origin``: how to compute it again.

    A forward hook. Not where a compiler decides what is saved, under autocast
    (the backward pass is outside of it), and for tensors without storage.

    Arguments
    ---------
    norm : torch.nn.Module
        The norm.
    args : tuple
        Its arguments.
    out : torch.Tensor
        Its output.
    """
    if (
        torch.compiler.is_compiling()
        or not out.requires_grad
        or type(out) is not torch.Tensor
        or out.is_meta
        or torch._C._are_functorch_transforms_active()
        or torch.is_autocast_enabled(out.device.type)
    ):
        return
    source = args[0]
    needed = [source, *norm.parameters()]
    versions = [tensor._version for tensor in needed]

    @functools.cache  # query and value, for example, need the same output
    def make_again():
        if [tensor._version for tensor in needed] != versions:
            raise RuntimeError(CHANGED.format(f"an input or weight of {norm}"))
        with torch.no_grad():
            return norm.forward(source)  # without hooks

    out.origin = (make_again, out._version)
