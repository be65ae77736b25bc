"""Batch normalisation of channels-first features over real frames."""

import torch.nn.functional as F
from torch import distributed, nn

from petl_modules.blocks import MaskedBatchNorm


class FrameNorm(nn.Module):
    """Batch normalisation that reads which frames are padding.

    As ``torch.nn.BatchNorm1d`` or ``BatchNorm2d``, but statistics are over the
    real frames, in a distributed run over those of all processes on any
    device. (SpeechBrain would turn torch's modules into ``SyncBatchNorm``,
    which has no mask and no CPU version.)

    Arguments
    ---------
    channels : int
        Number of channels.
    padding : petl_modules.speaker_models.padding.Padding
        Knows the real frames of the current batch.

    Example
    -------
    >>> import torch
    >>> from petl_modules.speaker_models.padding import Padding
    >>> FrameNorm(8, Padding())(torch.rand(2, 8, 50, 4)).shape
    torch.Size([2, 8, 50, 4])
    """

    def __init__(self, channels, padding):
        super().__init__()
        self.norm = MaskedBatchNorm(channels)
        self.padding = padding

    def forward(self, x):
        """Normalise ``[batch, channels, frames, ...]``."""
        mask = self.padding.mask(x)
        if not self.training or (mask is None and _one_process()):
            return self._fused(x)
        last = x.movedim(1, -1)  # [batch, frames, ..., channels]
        if mask is not None:
            mask = mask.reshape(*mask.shape, *[1] * (x.dim() - 3))
            mask = mask.expand(last.shape[:-1]).flatten(1)
        normed = self.norm(last.flatten(1, -2), mask)
        return normed.reshape(last.shape).movedim(-1, 1)

    def _fused(self, x):
        """Use torch's kernel, which has no mask and knows one process."""
        norm = self.norm
        if self.training:
            norm.num_batches_tracked.add_(1)
        return F.batch_norm(
            x,
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            training=self.training,
            momentum=norm.momentum,
            eps=norm.eps,
        )


def _one_process():
    return not distributed.is_initialized() or distributed.get_world_size() == 1
