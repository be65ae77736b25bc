"""Prefix tuning: trained keys and values in the attention.

https://arxiv.org/abs/2101.00190
"""

import torch
from torch import nn

from petl_modules.methods.adapted import Adapted
from petl_modules.methods.insertion import Insertion
from petl_modules.methods.prompt_tuning import draw_tokens, init_bound
from petl_modules.utils import HparamsError


class Prefix(nn.Module):
    """Trained keys and values in front of those of an attention module.

    Arguments
    ---------
    tokens : int
        Keys and values together: half of them each.
    d_model : int
        Hidden size of the encoder.
    bound : float
        See ``draw_tokens``.
    """

    def __init__(self, tokens, d_model, bound):
        super().__init__()
        self.key = draw_tokens(tokens // 2, d_model, bound)
        self.value = draw_tokens(tokens // 2, d_model, bound)

    def forward(self, key, value):
        """Return both as ``[batch, heads, tokens / 2 + time, d_head]``."""
        batch, heads, _, size = key.shape

        def prepend(tokens, states):
            tokens = tokens.unflatten(1, (heads, size)).transpose(0, 1)
            tokens = tokens.expand(batch, -1, -1, -1).to(states.dtype)
            return torch.cat([tokens, states], dim=2)

        return prepend(self.key, key), prepend(self.value, value)


def attach_prefix(attention, prefix, context=None):
    """Give a prefix to an attention module, which stays in its place.

    ``petl_modules.backbones.attention`` reads it. If another method has
    wrapped the module, the prefix goes to the module inside.

    Arguments
    ---------
    attention : torch.nn.Module
        The module, or a wrapper around it.
    prefix : Prefix
        The prefix.
    context : petl_modules.blocks.ForwardContext
        Not used.

    Returns
    -------
    torch.nn.Module
        The first argument.
    """
    core = attention
    while isinstance(core, Adapted):
        core = core.base
    if hasattr(core, "prefix"):
        raise HparamsError("'methods' contains prefix tuning twice")
    core.prefix = prefix
    return attention


class PrefixTuning:
    """Trained keys and values in the attention of every layer.

    Arguments
    ---------
    tokens : int
        Vectors in a layer, an even number: half keys, half values.
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.

    Raises
    ------
    HparamsError
        If ``tokens`` is odd or below 2.

    Example
    -------
    >>> PrefixTuning(tokens=24).tokens
    24
    """

    def __init__(self, *, tokens, layers="all"):
        if tokens < 2 or tokens % 2:
            raise HparamsError(
                f"tokens is {tokens}: prefix tuning needs an even number, "
                "half of it keys and half values"
            )
        self.tokens = tokens
        self.layers = layers

    def insertions(self, sites):
        """Yield one ``Insertion`` for each layer."""
        bound = init_bound(sites, self.tokens)
        for site in sites.select(["attention"], self.layers):
            prefix = Prefix(self.tokens, sites.d_model, bound)
            yield Insertion(site, prefix, attach_prefix)
