"""Mixtures of adapters: several small experts beside one frozen sublayer.

Soft-MoA: https://arxiv.org/abs/2402.00828, after Soft MoE,
https://arxiv.org/abs/2308.00951. Dense-MoA is its densely routed baseline.

Experts with an ``inner`` function (``Bottleneck``, ``ConvPass``) are computed
all at once; any other block runs expert by expert, with the same result.

Letters in the products: b batch, t token, d hidden size, n expert, s slot,
r bottleneck.

Authors
 * The PETL audio recipes team 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.products import widen


def draw_experts(d_model, expert, experts):
    """Independently drawn experts.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    expert : callable
        Makes one block from ``d_model``, e.g. a class or a ``!name:`` entry
        of a YAML file.
    experts : int
        How many.

    Returns
    -------
    torch.nn.ModuleList

    Raises
    ------
    ValueError
        If ``experts`` is below 1.
    """
    if experts < 1:
        raise ValueError(
            f"experts is {experts}: a mixture needs at least one expert"
        )
    return nn.ModuleList([expert(d_model) for _ in range(experts)])


def batchable(experts):
    """Whether a closed form computes all of these experts at once."""
    return callable(getattr(type(experts[0]), "inner", None))


class DenseMoA(nn.Module):
    """Every expert on every token, weighted by a router.

    ``out = sum_n softmax(router(x))_n * expert_n(x)``. In closed form the
    weights are applied in bottleneck space, so that nothing of the size
    ``[batch, time, d_model, experts]`` is ever held.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    expert : callable
        Makes one expert from ``d_model``.
    experts : int
        Number of experts.

    Example
    -------
    >>> from functools import partial
    >>> from petl_modules.adapters import Bottleneck
    >>> block = DenseMoA(768, expert=partial(Bottleneck, reduction=128))
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_model, *, expert, experts=7):
        super().__init__()
        self.experts = draw_experts(d_model, expert, experts)
        self.router = nn.Linear(d_model, experts)
        nn.init.normal_(self.router.weight, std=0.02)
        nn.init.zeros_(self.router.bias)

    def forward(self, x, valid=None):
        """Returns the branch.

        Arguments
        ---------
        x : torch.Tensor
            Hidden states ``[batch, time, d_model]``.
        valid : torch.Tensor or None
            Mask of real frames, ``[batch, time]`` bool. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_model]``.
        """
        if batchable(self.experts):
            return self._all_at_once(x, valid)
        weights = self._weights(self.router(x))
        return sum(
            weight * expert(x, valid)
            for weight, expert in zip(weights.split(1, -1), self.experts)
        )

    @staticmethod
    def _weights(logits):
        return logits.softmax(-1, dtype=torch.float32).to(logits.dtype)

    def _all_at_once(self, x, valid):
        experts = len(self.experts)
        # One product for all that starts from x, the router's among it
        down = [*(expert.down for expert in self.experts), self.router]
        up = [expert.up for expert in self.experts]
        hidden = F.linear(
            x,
            torch.cat([layer.weight for layer in down]),
            torch.cat([layer.bias for layer in down]),
        )
        hidden, logits = hidden.tensor_split([-experts], dim=-1)
        weights = self._weights(logits)
        hidden = self.experts[0].inner(hidden, self.experts, valid)
        hidden = hidden.unflatten(-1, (experts, -1)) * weights.unsqueeze(-1)
        # The weighted biases come with the same product
        return widen(
            torch.cat([hidden.flatten(-2), weights], -1),
            torch.cat(
                [layer.weight for layer in up]
                + [layer.bias.unsqueeze(1) for layer in up],
                dim=1,
            ),
        )


class SoftMoA(nn.Module):
    """Every expert on its own slots, each a soft mixture of all tokens.

    ``logits = x Phi``; ``dispatch`` is their softmax over the tokens and
    ``combine`` their softmax over all slots; expert n maps its slots of
    ``dispatch^T x``; ``out = combine * mapped slots``.

    Arguments
    ---------
    d_model : int
        Hidden size of the encoder.
    expert : callable
        Makes one expert from ``d_model``.
    experts : int
        Number of experts.
    slots : int
        Slots per expert.
    normalize : bool
        Whether tokens and ``Phi`` are brought to unit length first, ``Phi``
        then multiplied by a learnt scale (Soft MoE, section 2.3).

    Raises
    ------
    ValueError
        If ``experts`` or ``slots`` is below 1.

    Example
    -------
    >>> from functools import partial
    >>> from petl_modules.adapters import Bottleneck
    >>> block = SoftMoA(768, expert=partial(Bottleneck, reduction=128))
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(self, d_model, *, expert, experts=7, slots=1, normalize=False):
        super().__init__()
        if slots < 1:
            raise ValueError(f"slots is {slots}: an expert needs at least one")
        self.experts = draw_experts(d_model, expert, experts)
        self.phi = nn.Parameter(torch.empty(d_model, experts, slots))
        nn.init.xavier_normal_(self.phi)
        self.scale = nn.Parameter(torch.ones(())) if normalize else None

    def forward(self, x, valid=None):
        """Returns the branch (shapes as in ``DenseMoA.forward``)."""
        phi = self.phi
        if self.scale is not None:
            x = unit_length(x, dim=-1)
            phi = self.scale * unit_length(phi, dim=0)
        # Laid out so that the gradient of Phi is quick
        logits = F.linear(x, phi.flatten(1).t().contiguous())
        logits = logits.float()  # b t (n s)
        combine = logits.softmax(-1).to(x.dtype)
        if valid is not None:
            logits = logits.masked_fill(~valid.unsqueeze(-1), float("-inf"))
        dispatch = logits.softmax(1).to(x.dtype)
        slots = dispatch.transpose(1, 2) @ x  # b (n s) d
        slots = slots.unflatten(1, phi.shape[1:])  # b n s d
        if batchable(self.experts):
            slots = self._all_at_once(slots)
        else:
            slots = torch.stack(
                [e(s) for e, s in zip(self.experts, slots.unbind(1))], dim=1
            )
        return combine @ slots.flatten(1, 2)

    def _all_at_once(self, slots):
        down = [expert.down for expert in self.experts]
        up = [expert.up for expert in self.experts]
        weight = torch.stack([layer.weight for layer in down])
        bias = torch.stack([layer.bias for layer in down])
        hidden = torch.einsum("bnsd,nrd->bsnr", slots, weight) + bias
        hidden = self.experts[0].inner(hidden.flatten(2), self.experts)
        hidden = hidden.unflatten(2, bias.shape)
        weight = torch.stack([layer.weight for layer in up])
        bias = torch.stack([layer.bias for layer in up])
        out = torch.einsum("bsnr,ndr->bnsd", hidden, weight)
        return out + bias.unsqueeze(1)


def unit_length(x, dim):
    """Divides by the Euclidean length along one dimension (plus 1e-6)."""
    return x / (x.norm(dim=dim, keepdim=True) + 1e-6)
