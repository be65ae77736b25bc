"""Batch normalisation over real frames, of all processes.

https://arxiv.org/abs/1502.03167
"""

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce


class MaskedBatchNorm(nn.Module):
    """Batch normalisation that leaves padded frames out.

    ``(x - mean) / sqrt(variance + eps) * weight + bias`` by channel. In
    training, mean and variance are over the real frames of the batch; in a
    distributed run, over those of all processes, on any device. (Torch's
    ``SyncBatchNorm`` runs on GPUs only and has no mask.)

    Arguments
    ---------
    channels : int
        Number of channels.
    eps : float
        Added to the variance.
    momentum : float
        Weight of a batch in the running mean and (unbiased) variance.

    Example
    -------
    >>> norm = MaskedBatchNorm(8)
    >>> norm(torch.rand(2, 50, 8)).shape
    torch.Size([2, 50, 8])
    """

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x, mask=None):
        """Normalise frames.

        Arguments
        ---------
        x : torch.Tensor
            ``[batch, time, channels]``.
        mask : torch.Tensor or None
            True for real frames, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, channels]``.
        """
        if self.training:
            mean, variance = self._statistics(x.float(), mask)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((x - mean) * scale + self.bias).to(x.dtype)

    def _statistics(self, x, mask):
        """Return mean and variance of the batch; update the running ones."""
        if mask is None:
            real = x.new_ones(x.shape[:2]).unsqueeze(-1)
        else:
            real = mask.unsqueeze(-1).to(x.dtype)
        sums = torch.cat([(x * real).sum((0, 1)), real.sum().unsqueeze(0)])
        sums = _over_processes(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        squares = ((x - mean) * real).square().sum((0, 1))
        variance = _over_processes(squares) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked.add_(1)
        return mean, variance


def _over_processes(sums):
    """Return the sum over all processes, with gradients."""
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        return all_reduce(sums)
    return sums
