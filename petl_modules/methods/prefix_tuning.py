"""Prefix tuning: trained keys and values in the attention.

https://arxiv.org/abs/2101.00190

Authors
 * The PETL audio recipes team 2026
"""

import torch
from torch import nn

from petl_modules.methods.insertion import Adapted, Insertion
from petl_modules.methods.prompt_tuning import draw_tokens


class Prefix(nn.Module):
    """Trained keys and values in front of an attention module's own.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The encoder's configuration.
    tokens : int
        Keys and values together: half of them each.
    """

    def __init__(self, config, tokens):
        super().__init__()
        self.key = draw_tokens(config, tokens // 2, tokens)
        self.value = draw_tokens(config, tokens // 2, tokens)

    def forward(self, key, value):
        """Returns key and value, ``[batch, heads, tokens / 2 + time, d_head]``."""
        batch, heads, _, size = key.shape

        def prepend(tokens, states):
            tokens = tokens.unflatten(1, (heads, size)).transpose(0, 1)
            tokens = tokens.expand(batch, -1, -1, -1).to(states.dtype)
            return torch.cat([tokens, states], dim=2)

        return prepend(self.key, key), prepend(self.value, value)


def attach_prefix(attention, prefix):
    """Hands a prefix to an attention module (see ``petl_modules.backbones.attention``).

    Other methods may have wrapped the module: the prefix goes to the core.
    """
    core = attention
    while isinstance(core, Adapted):
        core = core.base
    if hasattr(core, "prefix"):
        raise ValueError("prefix tuning stands twice in 'methods'")
    core.prefix = prefix
    return attention


class PrefixTuning:
    """Trained keys and values in the attention of every layer.

    Arguments
    ---------
    tokens : int
        Vectors a layer, an even number: half keys, half values.

    Raises
    ------
    ValueError
        If ``tokens`` is odd or below 2.

    Example
    -------
    >>> PrefixTuning(tokens=24).tokens
    24
    """

    def __init__(self, *, tokens):
        if tokens < 2 or tokens % 2:
            raise ValueError(
                f"tokens is {tokens}: prefix tuning needs an even number, "
                "half of it keys and half values"
            )
        self.tokens = tokens

    def insertions(self, sites):
        """Yields one ``Insertion`` a layer."""
        for site in sites.in_every_layer(["attention"]):
            prefix = Prefix(sites.model.config, self.tokens)
            yield Insertion(site, prefix, attach_prefix)
