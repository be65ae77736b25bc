"""Group normalisation over a clip's real frames.

https://arxiv.org/abs/1803.08494
"""

import torch
from torch import nn


class MaskedGroupNorm(nn.Module):
    """Normalise a clip's channels by group, and leave padded frames out.

    ``(x - mean) / sqrt(variance + eps) * weight + bias``, with mean and variance
    of a clip over its real frames and the channels of a group.

    Arguments
    ---------
    channels : int
        Number of channels.
    groups : int
        Number of groups.
    eps : float
        Added to the variance.

    Raises
    ------
    ValueError
        If the groups do not divide the channels.

    Example
    -------
    >>> norm = MaskedGroupNorm(8, groups=2)
    >>> x, mask = torch.rand(1, 50, 8), torch.arange(50).unsqueeze(0) < 30
    >>> torch.allclose(norm(x, mask)[:, :30], norm(x[:, :30]), atol=1e-6)
    True
    """

    def __init__(self, channels, groups=1, eps=1e-5):
        super().__init__()
        if groups < 1 or channels % groups:
            raise ValueError(
                f"groups is {groups}: it must divide the {channels} channels"
            )
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x, mask=None):
        """Return ``[batch, time, channels]`` (see ``MaskedBatchNorm.forward``).

        In a clip without a real frame, all values are ``bias``.
        """
        wide = torch.promote_types(x.dtype, torch.float32)
        values = x.to(wide).unflatten(-1, (self.groups, -1))
        if mask is None:
            real = values.new_ones(1, x.shape[1], 1, 1)
        else:
            real = mask[..., None, None].to(wide)
        count = real.sum(1, keepdim=True).clamp(min=1) * values.shape[-1]
        mean = (values * real).sum((1, 3), keepdim=True) / count
        centred = (values - mean) * real
        variance = centred.square().sum((1, 3), keepdim=True) / count
        normed = centred * (variance + self.eps).rsqrt()
        return (normed.flatten(2) * self.weight + self.bias).to(x.dtype)
