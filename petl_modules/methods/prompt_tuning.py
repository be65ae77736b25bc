"""Prompt tuning: trained tokens among the others.

https://arxiv.org/abs/2203.12119

Authors
 * The PETL audio recipes team 2026
"""

import math
from functools import partial

import torch
from torch import nn

from petl_modules.methods.insertion import Insertion


def draw_tokens(config, count, total):
    """Uniformly drawn tokens, ``[count, hidden size]``.

    The bound is sqrt(6 / (3 patch^2 + d)), for encoders without patches
    sqrt(6 / (total + 1) / d) (https://arxiv.org/abs/2211.02227).

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The encoder's configuration.
    count : int
        How many tokens.
    total : int
        How many the method puts into a layer.

    Returns
    -------
    torch.nn.Parameter
    """
    d_model = config.hidden_size
    if hasattr(config, "patch_size"):
        bound = math.sqrt(6 / (3 * config.patch_size**2 + d_model))
    else:
        bound = math.sqrt(6 / (total + 1) / d_model)
    tokens = torch.empty(count, d_model)
    return nn.Parameter(tokens.uniform_(-bound, bound))


class Prompt(nn.Module):
    """Trained tokens ``[tokens, d_model]`` for the input of one layer."""

    def __init__(self, config, tokens):
        super().__init__()
        self.tokens = draw_tokens(config, tokens, tokens)


class Prompted(nn.Module):
    """A layer with prompts put into its input.

    Arguments
    ---------
    base : torch.nn.Module
        The layer.
    block : Prompt
        The prompts.
    start : int
        How many tokens stay in front of them.
    replaced : int
        How many tokens behind those give way.
    """

    def __init__(self, base, block, *, start, replaced):
        super().__init__()
        self.base = base
        self.block = block
        self.start = start
        self.replaced = replaced

    def forward(self, x, *args, **kwargs):
        """Calls the layer on ``[batch, time - replaced + prompts, d_model]``."""
        prompts = self.block.tokens.expand(len(x), -1, -1).to(x.dtype)
        front, back = x[:, : self.start], x[:, self.start + self.replaced :]
        return self.base(torch.cat([front, prompts, back], 1), *args, **kwargs)


class PromptTuning:
    """Trained tokens at the input of the first layer, or of every layer.

    On AST they stand behind CLS and take the distillation token's place.

    Arguments
    ---------
    tokens : int
        Prompts a layer.
    deep : bool
        False: they enter at the first layer and are carried through. True:
        every layer replaces them by its own.

    Raises
    ------
    ValueError
        If ``tokens`` is below 1.

    Example
    -------
    >>> PromptTuning(tokens=25, deep=True).tokens
    25
    """

    def __init__(self, *, tokens, deep):
        if tokens < 1:
            raise ValueError(f"tokens is {tokens}: prompt tuning needs prompts")
        self.tokens = tokens
        self.deep = deep

    def insertions(self, sites):
        """Yields one ``Insertion`` a layer that takes prompts."""
        start = sites.layout.tokens_before_prompts
        replaced = sites.layout.leading_tokens - start
        for layer in range(sites.n_layers if self.deep else 1):
            prompt = Prompt(sites.model.config, self.tokens)
            wrap = partial(Prompted, start=start, replaced=replaced)
            yield Insertion(f"layers.{layer}", prompt, wrap)
            replaced = self.tokens
