"""A narrow network beside the frozen encoder: ladder side-tuning.

https://arxiv.org/abs/2206.06522
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.utils import HparamsError


class Ladder(nn.Module):
    """Add what a narrow stack makes of all layers to the last layer's states.

    With the states h_0 that enter the first layer and the outputs h_l of the
    layers, section 3.2 of the paper::

        s_0 = down_0(h_0)
        s_l = layer_l(mu_l * down_l(h_l) + (1 - mu_l) * s_(l-1))
        mu_l = sigmoid(alpha_l / temperature)
        y = h_L + up(norm(s_L))

    ``layer_l`` is a ``SideLayer`` of width d_model / reduction with the
    encoder's number of heads. All alpha and ``up`` are 0 at the start: y starts
    as exactly h_L. Gradients end in the side network: where the encoder is
    frozen, a training step keeps nothing of it but the states that are read.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    reduction : float
        The encoder's width divided by that of the side network.
    layers : str or list of int
        Layers with a side layer: ``all``, ``last_<n>``, ``all_but_last``, or
        numbers such as ``[3, 7, 11]``. The others' outputs are not read.
    temperature : float
        Of the gates.

    Attributes
    ----------
    places : list of int
        Which states are read, 0 for the first layer's input.
    d_out : int
        Width of the output, d_model.

    Raises
    ------
    HparamsError
        If the encoder's heads do not divide the width of the side network, or
        ``temperature`` is not above 0.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import Wav2Vec2, write_tiny_wav2vec2
    >>> folder = tempfile.mkdtemp() + "/tiny-wav2vec2"
    >>> write_tiny_wav2vec2(folder)
    >>> ladder = Ladder(Wav2Vec2(folder).sites, reduction=8)
    >>> states = list(torch.rand(3, 1, 50, 128))
    >>> torch.equal(ladder(states), states[-1])
    True
    """

    def __init__(self, sites, *, reduction=8, layers="all", temperature=0.1):
        super().__init__()
        self.d_out = sites.d_model
        if not 0 < temperature < math.inf:
            raise HparamsError(
                f"temperature is {temperature}: the gates of a ladder need one "
                "above 0, such as 0.1"
            )
        self.temperature = temperature
        width = round(sites.d_model / reduction)
        heads = sites.model.config.num_attention_heads
        if width < 1 or width % heads:
            raise HparamsError(
                f"reduction {reduction} makes a ladder {width} wide, which is "
                f"no multiple of the encoder's {heads} heads: "
                f"{sites.d_model // heads} and its divisors are possible"
            )
        chosen = [site.name for site in sites.select_layers(layers)]
        self.places = [0, *(1 + sites.layers.index(name) for name in chosen)]
        self.down = nn.ModuleList(
            nn.Linear(sites.d_model, width) for _ in self.places
        )
        self.alpha = nn.Parameter(torch.zeros(len(chosen)))
        self.stack = nn.ModuleList(SideLayer(width, heads) for _ in chosen)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, sites.d_model)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states, mask=None):
        """Return what the head reads.

        Arguments
        ---------
        states : list of torch.Tensor
            The input of the first layer, then the output of each layer, all
            ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            True for real tokens, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_model]``.
        """
        first, *downs = self.down
        side = first(states[0])
        gates = (self.alpha / self.temperature).sigmoid()
        for place, down, gate, layer in zip(
            self.places[1:], downs, gates, self.stack, strict=True
        ):
            side = gate * down(states[place]) + (1 - gate) * side
            side = layer(side, mask)
        return states[-1] + self.up(self.norm(side))


class SideLayer(nn.Module):
    """A transformer layer that normalises in front of its sublayers.

    ``x = x + attention(norm(x))``, then ``x = x + feed_forward(norm(x))``, four
    times as wide inside, with GELU.

    Arguments
    ---------
    width : int
        Size of the hidden states.
    heads : int
        Of the attention.

    Example
    -------
    >>> import torch
    >>> SideLayer(96, 12)(torch.rand(2, 50, 96)).shape
    torch.Size([2, 50, 96])
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn_in = nn.Linear(width, 4 * width)
        self.ffn_out = nn.Linear(4 * width, width)

    def forward(self, x, mask=None):
        """Return ``[batch, time, width]``; padding, by the mask, is not seen."""
        projected = self.query_key_value(self.attention_norm(x))
        query, key, value = (
            each.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for each in projected.chunk(3, 2)
        )  # [batch, heads, time, width / heads]
        seen = None if mask is None else mask[:, None, None]
        mixed = F.scaled_dot_product_attention(query, key, value, seen)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.ffn_out(F.gelu(self.ffn_in(self.ffn_norm(x))))
