"""WavLM's attention, with projections that are called.

The library's own gives their weights to a function: a block around a
projection, or a prefix, would be passed by.
"""

import math

import torch
from torch import nn

from petl_modules.backbones.attention import petl_sdpa


class GatedAttention(nn.Module):
    """Attention with a gated relative position bias.

    https://arxiv.org/abs/2110.13900, section 3.3. Prompts are in front of the
    frames, and at that distance; a prefix has no position.

    Arguments
    ---------
    stock : transformers.models.wavlm.modeling_wavlm.WavLMAttention
        Its modules are used, under their names.
    first : GatedAttention or None
        That of the first layer, which owns the embedding of the distances.
        None: this one does.
    """

    is_causal = False

    def __init__(self, stock, first=None):
        super().__init__()
        for name, module in stock.named_children():
            self.add_module(name, module)
        self.gru_rel_pos_const = stock.gru_rel_pos_const
        self.num_heads = stock.num_heads
        self.dropout = stock.dropout
        self.max_distance = stock.max_distance
        self.first = () if first is None else (first,)  # no submodule

    def position_bias(self, length):
        """Return the bias before it is gated, ``[1, heads, time, time]``."""
        embedding = (*self.first, self)[0].rel_attn_embed
        place = torch.arange(length, device=embedding.weight.device)
        buckets = distance_buckets(
            place - place.unsqueeze(1),
            embedding.num_embeddings,
            self.max_distance,
        )
        return embedding(buckets).permute(2, 0, 1).unsqueeze(0)

    def forward(
        self, hidden_states, attention_mask=None, position_bias=None, **kwargs
    ):
        """Return what the library's attention returns, but for the weights.

        Arguments
        ---------
        hidden_states : torch.Tensor
            ``[batch, time, d_model]``.
        attention_mask : torch.Tensor or None
            ``[batch, frames]`` bool, True for real ones.
        position_bias : torch.Tensor or None
            What the layer before returned. It is computed anew where it is
            absent, or prompts have entered.
        **kwargs
            Not used.

        Returns
        -------
        tuple
            Output, None, bias before it is gated.
        """
        length = hidden_states.shape[1]
        if position_bias is None or position_bias.shape[3] != length:
            position_bias = self.position_bias(length)
        bias = self.gate(hidden_states) * position_bias
        query, key, value = (
            self.split(projection(hidden_states))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if attention_mask is not None:
            attention_mask = attention_mask[:, None, None]
        out, _ = petl_sdpa(
            self,
            query,
            key,
            value,
            attention_mask,
            position_bias=bias.to(query.dtype),
            dropout=self.dropout if self.training else 0.0,
        )
        return self.out_proj(out.flatten(2)), None, position_bias

    def gate(self, hidden_states):
        """Return the factors of the bias, ``[batch, heads, time, 1]``."""
        gates = self.gru_rel_pos_linear(self.split(hidden_states))
        update, reset = gates.unflatten(3, (2, 4)).sum(4).sigmoid().chunk(2, 3)
        return update * (reset * self.gru_rel_pos_const - 1.0) + 2.0

    def split(self, states):
        """Return states by head, ``[batch, heads, time, d_head]``."""
        return states.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def distance_buckets(distances, num_buckets, max_distance):
    """Return the row of the embedding for each signed distance.

    Half of the rows are for keys behind the query. A quarter are single
    distances, the others are spaced logarithmically up to the largest.

    Arguments
    ---------
    distances : torch.Tensor
        Place of the key minus place of the query.
    num_buckets : int
        Rows of the embedding.
    max_distance : int
        Larger distances share the last row.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> distance_buckets(torch.tensor([-900, -1, 0, 1, 900]), 320, 800)
    tensor([159,   1,   0, 161, 319])
    """
    half, exact = num_buckets // 2, num_buckets // 4
    far = distances.abs()
    spaced = (far.float() / exact).log() / math.log(max_distance / exact)
    spaced = (exact + spaced * (half - exact)).long()
    near = torch.where(far < exact, far, spaced.clamp(max=half - 1))
    return near + half * (distances > 0)


def call_projections(layers):
    """Replace the attention of each layer of a WavLM.

    Arguments
    ---------
    layers : torch.nn.ModuleList
        The layers, changed in place.
    """
    first = None
    for layer in layers:
        layer.attention = GatedAttention(layer.attention, first)
        first = layer.attention if first is None else first
