"""The selective scan of Mamba: a recurrence over time, computed in parallel.

https://arxiv.org/abs/2312.00752, equation 2 and algorithm 2

Letters in the products: b batch, t time, d channel, n state.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

SHORT = 16  # frames that are faster one after the other
ROUNDS = 16  # of a graph for any length: states see the last 65,536 frames


def selective_scan(u, dt, a, b, c):
    """Return ``y``, the output of a state space model that its input selects.

    ``h_t = exp(dt_t a) h_(t-1) + dt_t u_t b_t`` and ``y_t = h_t c_t``, with
    ``h`` 0 in front of the first frame: of the continuous model, ``a`` is
    discretised by zero-order hold, ``b`` by Euler's rule. Frame t depends on
    none behind it.

    Only the arguments are kept for the backward pass, which computes the
    states again. It can be differentiated once.

    Arguments
    ---------
    u : torch.Tensor
        Input, ``[batch, time, channels]``.
    dt : torch.Tensor
        Step size, at least 0, ``[batch, time, channels]``.
    a : torch.Tensor
        Decay, at most 0, ``[channels, states]``. So no product of
        ``exp(dt a)`` overflows, at any length.
    b, c : torch.Tensor
        What the input writes into the states, and what the output reads of
        them, ``[batch, time, states]``.

    Returns
    -------
    torch.Tensor
        ``[batch, time, channels]``.

    Example
    -------
    >>> u, b = torch.ones(1, 3, 1), torch.ones(1, 3, 1)
    >>> half = torch.tensor([[0.5]]).log()
    >>> selective_scan(u, u, half, b, b).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    return _SelectiveScan.apply(u, dt, a, b, c)


class _SelectiveScan(torch.autograd.Function):
    """``selective_scan``, and its gradient by the same recurrence backward."""

    @staticmethod
    def forward(ctx, u, dt, a, b, c):
        ctx.save_for_backward(u, dt, a, b, c)
        return _read(_scan(_decay(dt, a), _outer(dt * u, b)), c)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        u, dt, a, b, c = ctx.saved_tensors
        decay = _decay(dt, a)
        states = _scan(decay.clone(), _outer(dt * u, b))
        # y_t and h_(t+1) give the gradient of h_t: from the end to the front
        grad_h = _scan(
            decay.roll(-1, 1).flip(1), _outer(grad.flip(1), c.flip(1))
        ).flip(1)
        grad_term = _read(grad_h, b)
        grad_b = torch.einsum("btdn,btd->btn", grad_h, dt * u)
        grad_c = torch.einsum("btdn,btd->btn", states, grad)
        # From here on of dt_t a, by exp(dt_t a) h_(t-1)
        grad_h *= decay
        grad_h[:, :1] = 0
        grad_h[:, 1:] *= states[:, :-1]
        grad_dt = grad_term * u + torch.einsum("btdn,dn->btd", grad_h, a)
        grad_a = torch.einsum("btdn,btd->dn", grad_h, dt)
        return grad_term * dt, grad_dt, grad_a, grad_b, grad_c


def _decay(dt, a):
    return (dt.unsqueeze(-1) * a).exp_()


def _outer(u, b):
    return u.unsqueeze(-1) * b.unsqueeze(2)


def _read(states, c):
    return torch.einsum("btdn,btn->btd", states, c)


def _scan(decay, term):
    """Return ``h_t = decay_t h_(t-1) + term_t``; the arguments are overwritten.

    A compiler gets what it can fuse.
    """
    compiled = torch.compiler.is_compiling()
    return (_scan_by_doubling if compiled else _scan_in_place)(decay, term)


def _scan_in_place(decay, term):
    """Return the states; see ``_scan``.

    Two steps are one step of a sequence of half the length: all odd frames
    follow from the scan of that, then each even frame from the one in front of
    it. Of these operations ``2 log2(time)`` stand in a row, and together they
    are as many products as three times the steps.
    """
    time = term.shape[1]
    if time <= SHORT:
        frames, decays = term.unbind(1), decay.unbind(1)
        for t in range(1, time):
            frames[t].addcmul_(decays[t], frames[t - 1])
        return term
    even, odd = slice(0, time - 1, 2), slice(1, time, 2)
    later, count = slice(2, time, 2), (time - 1) // 2
    term[:, odd].addcmul_(decay[:, odd], term[:, even])
    decay[:, odd] *= decay[:, even]
    states = _scan_in_place(decay[:, odd], term[:, odd])
    term[:, later].addcmul_(decay[:, later], states[:, :count])
    return term


def _scan_by_doubling(decay, term):
    """Return the states, by few operations that fit any length; see ``_scan``.

    After k rounds, a state knows of the last ``2 ** k`` frames. That is
    ``log2(time)`` times the work.
    """
    time, rounds = term.shape[1], ROUNDS
    if isinstance(time, int):
        rounds = (time - 1).bit_length()
    for k in range(rounds):
        shift = (0, 0, 0, 0, 2**k, 0)
        term = term + decay * F.pad(term, shift)[:, :time]
        decay = decay * F.pad(decay, shift)[:, :time]
    return term
