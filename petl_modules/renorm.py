"""Norm outputs that are made again, instead of kept, for the backward pass.

A block beside a sublayer needs its input there, which a norm has put out. That
norm keeps its own input in any case, and from it the output is quickly made.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import functools

import torch
from torch.autograd.graph import saved_tensors_hooks


def remember(norm, args, out):
    """A norm's forward hook: its output remembers how it was made.

    Arguments
    ---------
    norm : torch.nn.Module
        The norm.
    args : tuple
        What it was called with.
    out : torch.Tensor
        What it returned.
    """
    # A compiler decides by itself; autocast keeps rounded copies
    if torch.compiler.is_compiling() or not out.requires_grad:
        return
    if torch.is_autocast_enabled(out.device.type):
        return

    source = args[0]
    versions = _versions(source, *norm.parameters())

    @functools.cache  # for all that starts from it
    def again():
        if _versions(source, *norm.parameters()) != versions:
            raise RuntimeError(
                f"the input or the weights of {norm} were written to between "
                "the forward pass and the backward pass, which needs them"
            )
        with torch.no_grad():
            return norm(source)

    out.made_by, out.made_as = again, _versions(out)


def renormed(x):
    """Within it, what is kept of a norm's output is how to make it again.

    Arguments
    ---------
    x : torch.Tensor
        Of a norm with ``remember``. Any other is kept as usual.

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
    if torch.compiler.is_compiling() or not hasattr(x, "made_by"):
        return contextlib.nullcontext()
    if _versions(x) != x.made_as:  # it was written to
        return contextlib.nullcontext()
    again = x.made_by
    place = x.untyped_storage().data_ptr()

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() != place:
            return tensor
        return tensor.size(), tensor.stride(), tensor.storage_offset()

    def unpack(kept):
        if isinstance(kept, torch.Tensor):
            return kept
        return again().as_strided(*kept)

    return saved_tensors_hooks(pack, unpack)


def _versions(*tensors):
    """They change with every write."""
    return [tensor._version for tensor in tensors]
