"""Mamba: a gated convolution and a selective state space model over time.

https://arxiv.org/abs/2312.00752, section 3.4
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.blocks.selective_scan import selective_scan


class Mamba(nn.Module):
    """``out_proj(ssm(SiLU(conv1d(u))) * SiLU(z))``, ``u, z = in_proj(x)``.

    The convolution is causal and by channel. The state space model (see
    ``selective_scan``) has a skip connection ``D u``; its step size, and what
    it writes and reads, are linear in ``u``: ``x_proj``, and ``dt_proj`` with
    a softplus. So a frame depends on none behind it: padding, which comes last,
    changes nothing in front of it.

    It computes in the dtype of its weights, also under autocast: steps and
    decays of a recurrence are no matter for bfloat16. Its tensors have the
    names that they have in mamba_ssm.

    Arguments
    ---------
    d_model : int
        Width of the input and of the output.
    d_state : int
        States of each channel.
    d_conv : int
        Width of the convolution in tokens.
    expand : int
        How many times wider than ``d_model`` the inside is.
    gain : float
        Factor of the Xavier-uniform matrices at the start.

    Raises
    ------
    ValueError
        If a size is below 1, or ``gain`` is not above 0.

    Example
    -------
    >>> mamba = Mamba(12)
    >>> mamba(torch.rand(2, 50, 12)).shape
    torch.Size([2, 50, 12])
    >>> sum(p.numel() for p in mamba.parameters())
    2232
    """

    def __init__(self, d_model, *, d_state=16, d_conv=4, expand=2, gain=1.0):
        super().__init__()
        sizes = {"d_state": d_state, "d_conv": d_conv, "expand": expand}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} is {size}: it must be at least 1")
        if not gain > 0:
            raise ValueError(f"gain is {gain}: it must be above 0")
        inner, rank = expand * d_model, math.ceil(d_model / 16)
        self.sizes = (rank, d_state, d_state)
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, d_conv, groups=inner)
        self.x_proj = nn.Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        states = torch.arange(1.0, d_state + 1)
        self.A_log = nn.Parameter(states.log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        for layer in (self.in_proj, self.conv1d, self.x_proj, self.dt_proj):
            nn.init.xavier_uniform_(layer.weight, gain)
        nn.init.xavier_uniform_(self.out_proj.weight, gain)
        nn.init.zeros_(self.conv1d.bias)
        # Steps of 1e-3 to 1e-1, evenly by their logarithm, behind the softplus
        step = torch.empty(inner).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.dt_proj.bias.data = step.expm1().log()

    def forward(self, x):
        """Return ``[batch, time, d_model]`` for ``[batch, time, d_model]``."""
        with torch.autocast(x.device.type, enabled=False):
            u, z = self.in_proj(x.to(self.D.dtype)).chunk(2, -1)
            front = self.conv1d.kernel_size[0] - 1
            u = self.conv1d(F.pad(u.transpose(1, 2), (front, 0)))
            u = F.silu(u.transpose(1, 2))
            dt, b, c = self.x_proj(u).split(self.sizes, -1)
            dt = F.softplus(self.dt_proj(dt))
            y = selective_scan(u, dt, -self.A_log.exp(), b, c)
            return self.out_proj((y + self.D * u) * F.silu(z))
