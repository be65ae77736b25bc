"""Norm outputs that are made again, instead of kept, for the backward pass.

A block beside a sublayer needs its input there, which a norm has put out. That
norm keeps its own input in any case, and from it the output is quickly made.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.autograd.graph import saved_tensors_hooks

CHANGED = (
    "{} was changed between the forward pass and the backward pass, which "
    "needs it as it was"
)


class Origin(NamedTuple):
    """How a norm's output was made.

    Arguments
    ---------
    make_again : callable
        Returns it again, without a graph.
    version : int
        Autograd's count of what was written to the output.
    """

    make_again: Callable
    version: int


def remember(norm, args, out):
    """A norm's forward hook: its output gets an ``origin``.

    None where a compiler decides what to keep; under autocast, outside of
    which it would be made in another precision; and where tensors are stood
    in for (``torch.func``, the meta device, subclasses).

    Arguments
    ---------
    norm : torch.nn.Module
        The norm.
    args : tuple
        What it was called with.
    out : torch.Tensor
        What it returned.
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

    @functools.cache  # query and value, say, ask for the same output
    def make_again():
        if [tensor._version for tensor in needed] != versions:
            raise RuntimeError(CHANGED.format(f"an input or weight of {norm}"))
        with torch.no_grad():
            return norm.forward(source)  # without hooks

    out.origin = Origin(make_again, out._version)


def renormed(x):
    """Within it, what autograd keeps of a norm's output is how to make it.

    Arguments
    ---------
    x : torch.Tensor
        With an ``origin``. Any other is kept as usual.

    Returns
    -------
    contextlib.AbstractContextManager

    Example
    -------
    >>> norm = torch.nn.LayerNorm(8)
    >>> _ = norm.register_forward_hook(remember)
    >>> source, down = torch.rand(2, 5, 8), torch.nn.Linear(8, 2)
    >>> x = norm(source)
    >>> with renormed(x):
    ...     loss = down(x).square().sum()
    >>> loss.backward()
    """
    if torch.compiler.is_compiling() or not hasattr(x, "origin"):
        return contextlib.nullcontext()
    make_again, version = x.origin
    storage = x.untyped_storage().data_ptr()

    def pack(tensor):
        stored_there = tensor.untyped_storage().data_ptr() == storage
        if stored_there and tensor._version == version:
            return tensor.size(), tensor.stride(), tensor.storage_offset()
        # The tensor itself would hold its own graph, for ever
        return tensor.detach(), tensor._version

    def unpack(kept):
        if len(kept) == 3:
            return make_again().as_strided(*kept)
        tensor, version = kept
        if tensor._version != version:
            raise RuntimeError(CHANGED.format("a weight or value of a block"))
        return tensor

    return saved_tensors_hooks(pack, unpack)
