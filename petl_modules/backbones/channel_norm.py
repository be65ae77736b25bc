"""A group norm of single channels that leaves padding out."""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.backbones.masks import mask_of_lengths


class MaskedChannelNorm(nn.Module):
    """Normalise each channel over a clip's own frames.

    A group norm with one group for each channel that leaves padding out.

    Arguments
    ---------
    norm : torch.nn.GroupNorm
        With as many groups as channels. Its parameters are reused.
    context : petl_modules.blocks.ForwardContext
        Its ``lengths`` are the samples of each clip.
    kernel, stride : int
        Of the convolution between the samples and this norm.

    Example
    -------
    >>> from petl_modules.blocks import ForwardContext
    >>> context = ForwardContext()
    >>> norm = MaskedChannelNorm(nn.GroupNorm(8, 8), context)
    >>> x = torch.rand(2, 8, 50)
    >>> context.lengths = torch.tensor([50, 30])
    >>> alone = F.group_norm(x[1:, :, :30], 8)
    >>> torch.allclose(norm(x)[1:, :, :30], alone, atol=1e-6)
    True
    """

    def __init__(self, norm, context, kernel=1, stride=1):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.context = context
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        """Return ``[batch, channels, frames]``."""
        samples = self.context.lengths
        if samples is None:
            channels = x.shape[1]
            return F.group_norm(x, channels, self.weight, self.bias, self.eps)
        lengths = (samples - self.kernel) // self.stride + 1
        real = mask_of_lengths(lengths, x.shape[2]).unsqueeze(1)
        count = lengths.view(-1, 1, 1)
        mean = (x * real).sum(2, keepdim=True, dtype=torch.float32) / count
        centred = (x - mean) * real
        variance = centred.square().sum(2, keepdim=True) / count
        scale = self.weight.unsqueeze(1) * (variance + self.eps).rsqrt()
        out = torch.addcmul(self.bias.unsqueeze(1), centred, scale)
        return out.to(x.dtype)
