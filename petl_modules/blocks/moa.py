"""Mixtures of adapters (MoA): several small experts for one sublayer.

Soft-MoA: https://arxiv.org/abs/2402.00828, after Soft MoE,
https://arxiv.org/abs/2308.00951. Dense-MoA is its densely routed baseline.

Experts of a ``groupable`` class (``Bottleneck``, ``ConvPass``, ``LowRank``) are
computed all at once; other blocks run expert by expert, with the same result.
Over ``LowRank`` at linear layers, the mixtures are mixtures of LoRA.

Letters in the products: b batch, t token, d width, n expert, s slot,
r bottleneck. Narrow products, such as those for logits and hidden values, are
computed with the tokens along the last dimension, which is faster.
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.grouped_experts import (
    GroupedExperts,
    draw_experts,
    groupable,
)


class DenseMoA(nn.Module):
    """Every expert on every token, weighted by a router.

    ``out = sum_n softmax(router(x))_n * expert_n(x)``. In closed form the
    weights are applied in bottleneck space, so that no tensor of the size
    ``[batch, time, d_out, experts]`` exists.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    expert : callable
        Makes one expert from ``d_in`` and ``d_out``.
    experts : int
        Number of experts.

    Example
    -------
    >>> from functools import partial
    >>> from petl_modules.blocks.bottleneck import Bottleneck
    >>> block = DenseMoA(768, expert=partial(Bottleneck, reduction=128))
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_in, d_out=None, *, expert, experts=7):
        super().__init__()
        d_out = d_in if d_out is None else d_out
        drawn = draw_experts(d_in, d_out, expert, experts)
        router = nn.Linear(d_in, experts)
        nn.init.normal_(router.weight, std=0.02)
        nn.init.zeros_(router.bias)
        self.grouped = groupable(drawn)
        if self.grouped:
            self.experts = GroupedExperts(drawn, router)
        else:
            self.experts = nn.ModuleList(drawn)
            self.router = router

    def forward(self, x, mask=None):
        """Return the branch.

        Arguments
        ---------
        x : torch.Tensor
            Hidden states ``[batch, time, d_in]``.
        mask : torch.Tensor or None
            True for real frames, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_out]``.
        """
        if self.grouped:
            return self._all_at_once(x, mask)
        weights = _softmax(self.router(x), -1)
        return sum(
            weight * expert(x, mask)
            for weight, expert in zip(weights.split(1, -1), self.experts)
        )

    def _all_at_once(self, x, mask):
        experts, n = self.experts, self.experts.n
        bias = experts.down_proj_bias
        if not experts.biased:  # the router's alone, whose rows come last
            bias = F.pad(bias, (len(experts.down_proj) - n, 0))
        # One product for all experts and the router, whose input is x too
        hidden = torch.addmm(
            bias.unsqueeze(1), experts.down_proj, x.flatten(0, 1).t()
        )
        hidden, logits = hidden.split([len(hidden) - n, n])
        weights = _softmax(logits, 0)  # n (b t)
        hidden = hidden.t().unflatten(0, x.shape[:2])  # b t (n r)
        hidden = experts.inner(hidden, mask).flatten(0, 1).t()
        hidden = hidden.unflatten(0, (n, -1)) * weights.unsqueeze(1)
        hidden = hidden.flatten(0, 1)
        if experts.biased:  # the same product adds the weighted biases
            hidden = torch.cat([hidden, weights])
        return (hidden.t() @ experts.up_proj).unflatten(0, x.shape[:2])


class SoftMoA(nn.Module):
    """Every expert on its own slots, each a soft mixture of all tokens.

    ``logits = x Phi``; ``dispatch`` is their softmax over the tokens and
    ``combine`` their softmax over all slots; expert n maps its slots of
    ``dispatch^T x``; ``out = combine * mapped slots``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    expert : callable
        Makes one expert from ``d_in`` and ``d_out``.
    experts : int
        Number of experts.
    slots : int
        Slots per expert.
    normalize : bool
        Whether to scale tokens and ``Phi`` to unit length first, and ``Phi``
        by a learnt factor. (In Soft MoE, section 2.3, the slots are mixtures
        of the unscaled tokens; here, of the scaled ones.)

    Raises
    ------
    ValueError
        If ``experts`` or ``slots`` is below 1.

    Example
    -------
    >>> from functools import partial
    >>> from petl_modules.blocks.bottleneck import Bottleneck
    >>> block = SoftMoA(768, expert=partial(Bottleneck, reduction=128))
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(
        self,
        d_in,
        d_out=None,
        *,
        expert,
        experts=7,
        slots=1,
        normalize=False,
    ):
        super().__init__()
        if slots < 1:
            raise ValueError(f"slots is {slots}: an expert needs at least one")
        d_out = d_in if d_out is None else d_out
        drawn = draw_experts(d_in, d_out, expert, experts)
        self.grouped = groupable(drawn)
        self.experts = (
            GroupedExperts(drawn) if self.grouped else nn.ModuleList(drawn)
        )
        self.phi = nn.Parameter(torch.empty(d_in, experts, slots))
        nn.init.xavier_normal_(self.phi)
        self.scale = nn.Parameter(torch.ones(())) if normalize else None

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``DenseMoA.forward``)."""
        phi = self.phi
        if self.scale is not None:
            x = unit_length(x, dim=-1)
            phi = self.scale * unit_length(phi, dim=0)
        # In this layout the gradient of Phi is fast
        logits = phi.flatten(1).t().contiguous() @ x.flatten(0, 1).t()
        logits = logits.unflatten(1, x.shape[:2]).transpose(0, 1)  # b (n s) t
        combine = _softmax(logits, 1)
        if mask is not None:
            logits = logits.masked_fill(~mask.unsqueeze(1), float("-inf"))
        slots = _softmax(logits, 2) @ x  # b (n s) d
        slots = slots.unflatten(1, phi.shape[1:])  # b n s d
        if self.grouped:
            slots = self._all_at_once(slots)
        else:
            slots = torch.stack(
                [e(s) for e, s in zip(self.experts, slots.unbind(1))], dim=1
            )
        return combine.transpose(1, 2) @ slots.flatten(1, 2)

    def _all_at_once(self, slots):
        experts, n = self.experts, self.experts.n
        down = experts.down_proj.unflatten(0, (n, -1))
        up, bias = experts.up_proj.tensor_split([len(experts.down_proj)])
        up = up.unflatten(0, (n, -1))
        hidden = torch.einsum("bnsd,nrd->bsnr", slots, down).flatten(2)
        if experts.biased:
            hidden = hidden + experts.down_proj_bias
        hidden = experts.inner(hidden).unflatten(2, (n, -1))
        out = torch.einsum("bsnr,nrd->bnsd", hidden, up)
        return out + bias.unsqueeze(1) if experts.biased else out


def _softmax(logits, dim):
    """Return the softmax, computed in float32 or in what is wider."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    return logits.softmax(dim, dtype=wide).to(logits.dtype)


def unit_length(x, dim):
    """Divide by the Euclidean length along one dimension (plus 1e-6)."""
    return x / (x.norm(dim=dim, keepdim=True) + 1e-6)
