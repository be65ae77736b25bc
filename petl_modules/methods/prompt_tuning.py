"""Prompt tuning: trained tokens in the input of layers.

https://arxiv.org/abs/2203.12119
"""

import math
from functools import partial

import torch
from torch import nn

from petl_modules.methods.insertion import Insertion
from petl_modules.utils import HparamsError

INITS = ("vpt", "xavier")


def init_bound(sites, total, init="vpt"):
    """Return the bound of the uniform distribution that tokens start from.

    ``vpt``: ``sqrt(6 / (3 patch^2 + d))``. ``xavier``, and for encoders
    without patches: ``sqrt(6 / (total + 1) / d)``
    (https://arxiv.org/abs/2211.02227).

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    total : int
        How many tokens the method adds to a layer.
    init : str
        ``vpt`` or ``xavier``.

    Returns
    -------
    float
    """
    if init == "xavier" or sites.patch_size is None:
        return math.sqrt(6 / (total + 1) / sites.d_model)
    return math.sqrt(6 / (3 * sites.patch_size**2 + sites.d_model))


def draw_tokens(count, d_model, bound):
    """Return uniformly drawn tokens as a parameter ``[count, d_model]``.

    Arguments
    ---------
    count : int
        How many tokens.
    d_model : int
        Hidden size of the encoder.
    bound : float
        The numbers are between ``-bound`` and ``bound``.

    Returns
    -------
    torch.nn.Parameter
    """
    return nn.Parameter(torch.empty(count, d_model).uniform_(-bound, bound))


class Prompt(nn.Module):
    """Trained tokens ``[tokens, d_model]`` for the input of one layer."""

    def __init__(self, tokens, d_model, bound):
        super().__init__()
        self.tokens = draw_tokens(tokens, d_model, bound)


class Prompted(nn.Module):
    """A layer with prompts in its input.

    Arguments
    ---------
    base : torch.nn.Module
        The layer.
    block : Prompt
        The prompts.
    context : petl_modules.blocks.ForwardContext
        Not used.
    start : int
        How many tokens stay in front of the prompts.
    replaced : int
        How many tokens behind those the prompts replace.
    """

    def __init__(self, base, block, context=None, *, start, replaced):
        super().__init__()
        self.base = base
        self.block = block
        self.start = start
        self.replaced = replaced

    def forward(self, hidden_states, *args, **kwargs):
        """Call the layer on ``[batch, time - replaced + prompts, d_model]``."""
        x = hidden_states
        prompts = self.block.tokens.expand(x.shape[0], -1, -1).to(x.dtype)
        front, back = x[:, : self.start], x[:, self.start + self.replaced :]
        return self.base(torch.cat([front, prompts, back], 1), *args, **kwargs)


class PromptTuning:
    """Trained tokens in the input of the first layer, or of every layer.

    On AST they are behind CLS and replace the distillation token, or are
    behind both. (Where they are changes nothing else: they have no positions,
    and attention knows no order.)

    Arguments
    ---------
    tokens : int
        Prompts in a layer.
    deep : bool
        False: they enter at the first layer and are carried through. True:
        every layer replaces them by its own.
    layers : str or list of int
        The layers that are meant: ``all``, ``last_<n>``, ``all_but_last``, or
        numbers such as ``[0, 5]``. Prompts enter at the first of them and are
        carried through the others.
    replace_distillation : bool
        Whether they replace AST's distillation token. False: it stays, as in
        https://arxiv.org/abs/2211.02227.
    init : str
        ``vpt`` or ``xavier``, see ``init_bound``.

    Raises
    ------
    HparamsError
        If ``tokens`` is below 1, or there is no such ``init``.

    Example
    -------
    >>> PromptTuning(tokens=25, deep=True).added_tokens
    25
    """

    def __init__(
        self,
        *,
        tokens,
        deep,
        layers="all",
        replace_distillation=True,
        init="vpt",
    ):
        if tokens < 1:
            raise HparamsError(
                f"tokens is {tokens}: prompt tuning needs 1 or more"
            )
        if init not in INITS:
            raise HparamsError(
                f"init '{init}' of prompt tuning is none of: {', '.join(INITS)}"
            )
        self.tokens = tokens
        self.deep = deep
        self.layers = layers
        self.replace_distillation = replace_distillation
        self.init = init

    @property
    def added_tokens(self):
        """How many tokens are added to the frames."""
        return self.tokens

    def insertions(self, sites):
        """Yield one ``Insertion`` for each layer that gets prompts."""
        leading = sites.layout.num_prefix_tokens
        start = leading
        if self.replace_distillation:
            start = sites.layout.tokens_before_prompts
        replaced = leading - start
        bound = init_bound(sites, self.tokens, self.init)
        layers = sites.select_layers(self.layers)
        for layer in layers if self.deep else layers[:1]:
            prompt = Prompt(self.tokens, sites.d_model, bound)
            wrap = partial(Prompted, start=start, replaced=replaced)
            yield Insertion(layer, prompt, wrap)
            replaced = self.tokens
