"""ResNet34 for speakers, by feature partition and fusion.

Partition and fusion: our reading of the abstract of
https://arxiv.org/abs/2312.03324.
"""

from functools import partial
from math import ceil, prod

import torch
from speechbrain.lobes.models.ResNet import BasicBlock, SEBasicBlock
from torch import nn

from petl_modules.blocks import MaskedBatchNorm
from petl_modules.speaker_models.fusion import PartitionFusion
from petl_modules.speaker_models.padding import Padding
from petl_modules.speaker_models.stage import (
    WEIGHTS,
    PartitionStage,
    check_choice,
    check_divides,
)
from petl_modules.utils import HparamsError

STRIDES = (1, 2, 2, 2)
# SpeechBrain's first two stages have squeeze-and-excitation
KINDS = (SEBasicBlock, SEBasicBlock, BasicBlock, BasicBlock)


class ResNetPartition(nn.Module):
    """Pre-activation ResNet34 whose four stages see subsets of channels.

    With one subset it is SpeechBrain's ``ResNet``, except that a padded clip
    has the embedding of the clip alone; in training, batch statistics are over
    the real frames. The stem, which has one input channel, pooling and
    embedding are not partitioned.

    Arguments
    ---------
    input_size : int
        Number of mels.
    subsets : int
        K: 1, 2, 4, 8.
    weights : str
        ``shared`` by the subsets or ``separate``.
    channels : list of int
        Channels of the four stages.
    block_sizes : list of int
        Blocks of the four stages.
    embedding_size : int
        Size of the embedding.
    fusion : callable
        ``fusion(width, dims)`` returns a module as ``PartitionFusion``.

    Raises
    ------
    HparamsError
        If a choice is unknown, or if the sizes do not divide or are not four.

    Example
    -------
    >>> model = ResNetPartition(subsets=4, channels=[8, 8, 16, 16])
    >>> model(torch.rand(2, 100, 80)).shape
    torch.Size([2, 256])
    """

    def __init__(
        self,
        input_size=80,
        *,
        subsets=1,
        weights="shared",
        channels=(128, 128, 256, 256),
        block_sizes=(3, 4, 6, 3),
        embedding_size=256,
        fusion=PartitionFusion,
    ):
        super().__init__()
        check_choice("weights", weights, WEIGHTS)
        for key, sizes in (
            ("channels", channels),
            ("block_sizes", block_sizes),
        ):
            if len(sizes) != len(STRIDES):
                raise HparamsError(
                    f"'{key}' has {len(sizes)} values; it needs one for each "
                    f"of the {len(STRIDES)} stages"
                )
        for size in channels:
            check_divides(subsets, 1 if subsets == 1 else 2, channels=size)
        self.subsets = subsets
        self.embedding_size = embedding_size
        self.padding = Padding(STRIDES)
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
        )
        widths = [size // subsets for size in (channels[0], *channels)]
        self.stages = nn.ModuleList(
            PartitionStage(
                partial(_blocks, kind, *pair, number, stride),
                partial(fusion, pair[0], 2),
                subsets,
                weights,
            )
            for kind, pair, number, stride in zip(
                KINDS, zip(widths, widths[1:]), block_sizes, STRIDES
            )
        )
        pooled = channels[-1] * ceil(input_size / prod(STRIDES))
        self.attention = nn.Sequential(
            nn.Conv1d(pooled, 128, 1),
            nn.ReLU(),
            nn.BatchNorm1d(128),
            nn.Conv1d(128, pooled, 1),
            nn.Softmax(dim=2),
        )
        self.padding.attach(self)
        self.pooled_norm = MaskedBatchNorm(2 * pooled)
        self.embedding = nn.Linear(2 * pooled, embedding_size)
        self.embedding_norm = MaskedBatchNorm(embedding_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )

    def forward(self, features, lengths=None):
        """Return embeddings ``[batch, embedding_size]``.

        Arguments
        ---------
        features : torch.Tensor
            ``[batch, frames, mels]``.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
        """
        with self.padding.of(features, lengths):
            x = self.stem(features.unsqueeze(1))
            x = x.unflatten(1, (self.subsets, -1))
            for stage in self.stages:
                x = stage(x, self.padding.mask(x.flatten(1, 2)))
            # [batch, subsets, width, frames, mels] to [batch, all, frames]
            x = x.flatten(1, 2).transpose(2, 3).flatten(1, 2)
            weights = self.attention(x)
        mean = (x * weights).sum(2)
        # SpeechBrain's difference of squares would cancel
        variance = ((x - mean.unsqueeze(2)).square() * weights).sum(2)
        pooled = torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)
        pooled = self.pooled_norm(pooled.unsqueeze(1))
        return self.embedding_norm(self.embedding(pooled)).squeeze(1)


def _blocks(kind, width_in, width, number, stride):
    """Return the blocks of a stage, the first of which has the stride."""
    shortcut = None
    if stride != 1 or width_in != width:
        shortcut = nn.Sequential(
            nn.Conv2d(width_in, width, 1, stride, bias=False),
            nn.BatchNorm2d(width),
        )
    first = kind(width_in, width, stride=stride, downsample=shortcut)
    return nn.Sequential(
        first, *(kind(width, width) for _ in range(number - 1))
    )
