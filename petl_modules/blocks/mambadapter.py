"""MambAdapter: a bottleneck with Mamba inside.

https://arxiv.org/abs/2606.15638
"""

import torch
from torch import nn

from petl_modules.blocks.bottleneck import bottleneck_size
from petl_modules.blocks.mamba import Mamba
from petl_modules.blocks.narrow_linear import narrow_linear


class MambAdapter(nn.Module):
    """``alpha * up_proj(dropout(mamba(down_proj(x))))``, with a trained alpha.

    The paper has one pair of projections for all places: ``share:
    [down_proj, up_proj]`` of ``petl_modules.methods.Insert``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    reduction : float
        The bottleneck is ``round(min(d_in, d_out) / reduction)`` wide.
    d_state, d_conv, expand, gain
        See ``Mamba``.
    alpha : float
        Factor of the output at the start.
    dropout : float
        Share of the bottleneck's values that training sets to 0.
    down_std : float
        Standard deviation of the down projection at the start.
    init_std : float
        Standard deviation of the up projection at the start. With 0, the
        default, the block outputs 0 and training starts from the frozen
        model.

    Raises
    ------
    ValueError
        See ``bottleneck_size`` and ``Mamba``; if ``down_std`` is not above 0.

    Example
    -------
    >>> block = MambAdapter(768, reduction=64)
    >>> block(torch.rand(2, 50, 768)).shape
    torch.Size([2, 50, 768])
    """

    def __init__(
        self,
        d_in,
        d_out=None,
        *,
        reduction=64,
        d_state=16,
        d_conv=4,
        expand=2,
        gain=1.0,
        alpha=0.1,
        dropout=0.1,
        down_std=0.01,
        init_std=0.0,
    ):
        super().__init__()
        if not down_std > 0:
            raise ValueError(f"down_std is {down_std}: it must be above 0")
        d_out = d_in if d_out is None else d_out
        width = bottleneck_size(min(d_in, d_out), reduction)
        self.down_proj = nn.Linear(d_in, width)
        self.mamba = Mamba(
            width, d_state=d_state, d_conv=d_conv, expand=expand, gain=gain
        )
        self.dropout = nn.Dropout(dropout)
        self.up_proj = nn.Linear(width, d_out)
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        nn.init.normal_(self.down_proj.weight, std=down_std)
        nn.init.zeros_(self.down_proj.bias)
        nn.init.normal_(self.up_proj.weight, std=init_std)
        nn.init.zeros_(self.up_proj.bias)

    def forward(self, x, mask=None):
        """Return the branch (shapes as in ``Bottleneck.forward``).

        ``mask`` changes nothing: padding comes last, and Mamba is causal.
        """
        hidden = self.dropout(self.mamba(self.down_proj(x)))
        # The factor where the values are few
        weight, bias = self.up_proj.weight, self.alpha * self.up_proj.bias
        return narrow_linear(self.alpha * hidden, weight, bias)
