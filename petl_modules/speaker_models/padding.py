"""Padding kept out of convolutional speaker models.

SpeechBrain's ECAPA-TDNN knows lengths in its squeeze-and-excitation and its
pooling only: convolutions read padding behind a clip, where a clip alone is
reflected. Its ResNet knows no lengths. Here hooks on the layers that read more
than one frame make a padded clip equal to the clip alone.
"""

from contextlib import contextmanager

import torch
from speechbrain.lobes.models.ECAPA_TDNN import (
    AttentiveStatisticsPooling,
    SEBlock,
)
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from petl_modules.speaker_models.frame_norm import FrameNorm
from petl_modules.utils import DataError


class Padding:
    """The real frames of the current batch, at each resolution of a model.

    Each model has one; ``attach`` lets the layers of a module read it.
    Features are channels-first: ``[batch, channels, frames, ...]``.

    Arguments
    ---------
    strides : tuple
        Strides over time of the stages, in order.
    shortest : int
        Frames that a clip must have.

    Example
    -------
    >>> padding = Padding()
    >>> features, lengths = torch.rand(2, 4, 80), torch.tensor([0.5, 1.0])
    >>> with padding.of(features, lengths):
    ...     padding.mask(features.transpose(1, 2))
    tensor([[ True,  True, False, False],
            [ True,  True,  True,  True]])
    """

    def __init__(self, strides=(), shortest=1):
        self.strides = strides
        self.shortest = shortest
        # From a number of frames to the real ones of each clip, [batch];
        # empty: nothing is padded
        self.real = {}

    @contextmanager
    def of(self, features, lengths):
        """Set the real frames for the time of a forward pass.

        Arguments
        ---------
        features : torch.Tensor
            ``[batch, frames, mels]``.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Raises
        ------
        DataError
            If a clip is too short. (For this, lengths are read from the
            device; without ``lengths`` nothing is read.)
        """
        total, shortest = features.shape[1], features.shape[1]
        if lengths is not None:
            real = (lengths * total).round().long()
            shortest = int(real.min())
        if shortest < self.shortest:
            raise DataError(
                f"a clip of {shortest} frames: the model needs at least "
                f"{self.shortest}; leave out or lengthen such clips"
            )
        if shortest < total:
            self.real = {total: real}
            for stride in self.strides:
                total, real = _strided(total, stride), _strided(real, stride)
                self.real[total] = real
        try:
            yield
        finally:
            self.real = {}

    def mask(self, x):
        """Return ``[batch, frames]``, True at real frames; None: all are."""
        if not self.real:
            return None
        frames = torch.arange(x.shape[2], device=x.device)
        return frames < self._real(x, x.shape[2]).unsqueeze(1)

    def attach(self, module):
        """Let the layers of a module read the padding, in place."""
        hooks = {
            nn.Conv1d: self._reflect,
            nn.Conv2d: self._zero,
            nn.AdaptiveAvgPool2d: self._average,
            nn.Softmax: self._exclude,
            SEBlock: self._give_lengths,
            AttentiveStatisticsPooling: self._give_lengths,
        }
        for layer in list(module.modules()):
            if type(layer) in hooks:
                layer.register_forward_pre_hook(hooks[type(layer)])
            for name, child in layer.named_children():
                if isinstance(child, _BatchNorm):
                    norm = FrameNorm(child.num_features, self)
                    setattr(layer, name, norm)

    def _real(self, x, frames):
        """Return the real frames of each row; subsets are folded into rows."""
        real = self.real[frames]
        return real.repeat_interleave(len(x) // len(real))

    def _reflect(self, layer, args):
        """Continue a clip behind its end as a convolution continues a tensor.

        The input has been padded by SpeechBrain, at the ends of the tensor.
        """
        x = args[0]
        margin = layer.dilation[0] * (layer.kernel_size[0] - 1) // 2
        if not self.real or margin == 0:
            return None
        real = self._real(x, x.shape[2] - 2 * margin)
        last = (margin + real - 1).unsqueeze(1)
        at = torch.arange(x.shape[2], device=x.device)
        source = torch.where(at > last, 2 * last - at, at).clamp(min=0)
        return (x.gather(2, source.unsqueeze(1).expand_as(x)),)

    def _zero(self, layer, args):
        """Zero the padding, as a convolution pads a tensor."""
        mask = self.mask(args[0]) if layer.kernel_size != (1, 1) else None
        if mask is None:
            return None
        return (args[0].masked_fill(~mask[:, None, :, None], 0),)

    def _average(self, layer, args):
        """Scale so that the mean of all frames is that of the real ones."""
        mask = self.mask(args[0])
        if mask is None:
            return None
        x = args[0].masked_fill(~mask[:, None, :, None], 0)
        share = mask.sum(1).to(x.dtype) / mask.shape[1]
        return (x / share[:, None, None, None],)

    def _exclude(self, layer, args):
        """Take padding out of a softmax over frames."""
        mask = self.mask(args[0])
        if mask is None:
            return None
        return (args[0].masked_fill(~mask[:, None], float("-inf")),)

    def _give_lengths(self, layer, args):
        """Give relative lengths, half a frame short of the next frame.

        SpeechBrain compares frames with ``lengths * frames``, whose rounding
        error would otherwise count a frame too many.
        """
        if not self.real:
            return None
        frames = args[0].shape[2]
        return (args[0], (self._real(args[0], frames) - 0.5) / frames)


def _strided(frames, stride):
    """Return the frames behind a stride."""
    return (frames - 1) // stride + 1
