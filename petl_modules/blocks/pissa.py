"""PiSSA: a low-rank update that starts as the largest singular values of the weight.

https://arxiv.org/abs/2404.02948
"""

import torch
from torch import nn

from petl_modules.blocks.low_rank import LowRank
from petl_modules.blocks.narrow_linear import narrow_linear

ITERATIONS = 16  # of the SVD, as in the paper's section on fast SVD
MORE = 8  # singular values that are iterated with those that are wanted


class PiSSA(nn.Module):
    """The branch ``s (B A - B0 A0) x``, where B and A start as B0 and A0.

    ``s B0 A0`` is the best approximation of the frozen weight W of this rank.
    With the branch the layer's weight is ``(W - s B0 A0) + s B A``: the
    paper's frozen residual and trained principal part. W itself is never
    changed, so that the layer starts as the frozen one, bit for bit.

    Trained are the changes of A and B, which start at 0: the gradients are
    those of A and B, and weight decay draws these back to their start. A0 and
    B0 are buffers: files of trained weights hold them, and who loads one does
    not depend on another run of the SVD. The whole is a ``LowRank`` branch of
    twice the rank, see ``factors``.

    Arguments
    ---------
    d_in : int
        Width of the input.
    d_out : int or None
        Width of the output; None: as the input.
    rank, alpha
        See ``LowRank``; the paper has no scale: ``alpha`` equal to ``rank``.

    Raises
    ------
    ValueError
        If ``alpha`` is not above 0. See ``LowRank``, too.

    Example
    -------
    >>> layer = nn.Linear(768, 3072)
    >>> block = PiSSA(768, 3072, rank=6, alpha=6.0)
    >>> block.start_from(layer.weight)
    >>> block(torch.rand(2, 50, 768)).abs().max()
    tensor(0., grad_fn=<MaxBackward1>)
    """

    mergeable = True

    def __init__(self, d_in, d_out=None, *, rank=6, alpha=6.0):
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"alpha is {alpha}: PiSSA needs one above 0")
        # Of A and B: their differences to A0 and B0
        self.low_rank = LowRank(d_in, d_out, rank=rank, alpha=alpha)
        down, up = self.low_rank.lora_a.weight, self.low_rank.lora_b.weight
        nn.init.zeros_(down)
        self.register_buffer("start_a", torch.zeros_like(down))
        self.register_buffer("start_b", torch.zeros_like(up))

    @torch.no_grad()
    def start_from(self, weight):
        """Set A0 and B0 from a weight ``[d_out, d_in]``, by a randomised SVD.

        It draws from torch's generator. What it misses of the largest singular
        values is frozen in W; the start is the frozen layer in any case.
        """
        rank, scaling = len(self.start_a), self.low_rank.scaling
        most = min(weight.shape)
        u, values, v = torch.svd_lowrank(
            weight.float(), min(rank + MORE, most), ITERATIONS
        )
        root = (values[:rank] / scaling).sqrt()
        self.start_a.copy_((v[:, :rank] * root).t())
        self.start_b.copy_(u[:, :rank] * root)

    def factors(self):
        """Return A and B of the branch as LoRA of twice the rank.

        Returns
        -------
        a : torch.Tensor
            ``[2 rank, d_in]``.
        b : torch.Tensor
            ``[d_out, 2 rank]``.
        """
        down, up = self.low_rank.lora_a.weight, self.low_rank.lora_b.weight
        # (B0 + b) (A0 + a) - B0 A0 = b (A0 + a) + B0 a, in which nothing
        # large is taken from something large
        a = torch.cat([self.start_a + down, down])
        return a, torch.cat([up, self.start_b], 1)

    def forward(self, x, mask=None):
        """Return the branch, ``[..., d_out]``; ``mask`` changes nothing."""
        a, b = self.factors()
        narrow = nn.functional.linear(x, a)
        return narrow_linear(self.low_rank.scaling * narrow, b)

    def merge(self, weight, bias):
        """Return weight and bias of a layer with the branch in them."""
        a, b = self.factors()
        return weight + b @ (self.low_rank.scaling * a), bias
