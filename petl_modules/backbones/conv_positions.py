"""Positions that convolutions make of the frames."""

import torch
from torch import nn

from petl_modules.backbones.masks import mask_of_lengths


def without_weight_norm(conv):
    """Return the same convolution as a plain one, which can be pickled."""
    plain = nn.Conv1d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        padding=conv.padding,
        groups=conv.groups,
    )
    plain.load_state_dict({"weight": conv.weight, "bias": conv.bias})
    return plain


class MaskedLayer(nn.Module):
    """One of several convolutions in a row, which leaves padding at zero.

    The first one's bias would make sounds of padded frames, and the next one
    would mix them into the last frames of the clip.

    Arguments
    ---------
    layer : torch.nn.Module
        Called with ``[batch, channels, frames]``.
    context : petl_modules.blocks.ForwardContext
        Its ``lengths`` are the samples of each clip.
    frames : callable
        Returns how many frames are made of so many samples.
    """

    def __init__(self, layer, context, frames):
        super().__init__()
        self.layer = layer
        self.context = context
        self.frames = frames

    def forward(self, x):
        """Return ``[batch, channels, frames]``."""
        out = self.layer(x)
        samples = self.context.lengths
        if samples is None:
            return out
        real = mask_of_lengths(self.frames(samples), x.shape[2])
        return torch.where(real.unsqueeze(1), out, 0.0)
