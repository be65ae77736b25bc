"""ECAPA-TDNN by feature partition and fusion.

ECAPA-TDNN: https://arxiv.org/abs/2005.07143. Partition and fusion: our reading
of the abstract of https://arxiv.org/abs/2312.03324.
"""

from functools import partial

import torch
from speechbrain.lobes.models.ECAPA_TDNN import (
    AttentiveStatisticsPooling,
    SERes2NetBlock,
    TDNNBlock,
)
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

STEMS = ("shared", "separate", "dense")
DILATIONS = (2, 3, 4)
SCALE = 8  # of Res2Net: the parts of a block's channels


class EcapaPartition(nn.Module):
    """ECAPA-TDNN whose layers in front of the pooling see subsets of channels.

    With one subset it is SpeechBrain's ``ECAPA_TDNN``. With K, mels and
    channels are K contiguous subsets; a fusion in front of each layer tells
    them of each other. Pooling and embedding read all channels. A padded clip
    has the embedding of the clip alone; in training, batch statistics are over
    the real frames.

    Arguments
    ---------
    input_size : int
        Number of mels.
    subsets : int
        K: 1, 2, 4, 8.
    weights : str
        ``shared`` by the subsets or ``separate``.
    stem : str
        The first layer: ``shared``, ``separate``, or ``dense`` (all mels). With
        shared weights everywhere nothing in front of the pooling knows which
        subset is which.
    channels : int
        Channels of the layers; three times as many are pooled.
    embedding_size : int
        Size of the embedding.
    attention_channels : int
        Hidden channels of the pooling's attention.
    se_channels : int
        Hidden channels of squeeze-and-excitation, divided by K.
    fusion : callable
        ``fusion(width, dims)`` returns a module as ``PartitionFusion``.

    Raises
    ------
    HparamsError
        If a choice is unknown, or if the sizes do not divide.

    Example
    -------
    >>> model = EcapaPartition(subsets=4, channels=64)
    >>> model(torch.rand(2, 100, 80)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        input_size=80,
        *,
        subsets=1,
        weights="shared",
        stem="separate",
        channels=512,
        embedding_size=192,
        attention_channels=128,
        se_channels=128,
        fusion=PartitionFusion,
    ):
        super().__init__()
        stems = 1 if stem == "dense" else subsets
        _check(stem, stems, input_size, subsets, weights, channels, se_channels)
        self.subsets = subsets
        self.stem_subsets = stems
        self.embedding_size = embedding_size
        # the widest reflection is that of the largest dilation
        self.padding = Padding(shortest=max(DILATIONS) + 1)
        width, mels = channels // subsets, input_size // stems

        def stage(make_block, width, subsets=subsets, weights=weights):
            make_fusion = partial(fusion, width, 1)
            return PartitionStage(make_block, make_fusion, subsets, weights)

        first = partial(TDNNBlock, mels, channels // stems, 5, 1)
        self.stem = stage(first, mels, stems, stem)
        se = se_channels // subsets
        block = partial(SERes2NetBlock, width, width, SCALE, se, 3)
        self.stages = nn.ModuleList(
            stage(partial(block, dilation), width) for dilation in DILATIONS
        )
        last = partial(TDNNBlock, 3 * width, 3 * width, 1, 1)
        self.aggregation = stage(last, 3 * width)
        self.pooling = AttentiveStatisticsPooling(
            3 * channels, attention_channels=attention_channels
        )
        self.padding.attach(self)
        self.pooled_norm = MaskedBatchNorm(6 * channels)
        self.embedding = nn.Linear(6 * channels, embedding_size)

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
        x = features.transpose(1, 2)
        with self.padding.of(features, lengths):
            mask = self.padding.mask(x)
            x = self.stem(x.unflatten(1, (self.stem_subsets, -1)), mask)
            x = x.flatten(1, 2).unflatten(1, (self.subsets, -1))
            outputs = []
            for stage in self.stages:
                x = stage(x, mask)
                outputs.append(x)
            x = self.aggregation(torch.cat(outputs, dim=2), mask)
            pooled = self.pooling(x.flatten(1, 2)).transpose(1, 2)
        return self.embedding(self.pooled_norm(pooled)).squeeze(1)


def _check(stem, stems, input_size, subsets, weights, channels, se_channels):
    check_choice("weights", weights, WEIGHTS)
    check_choice("stem", stem, STEMS)
    check_divides(subsets, SCALE, channels=channels)
    check_divides(subsets, 1, se_channels=se_channels)
    if stems > 1:
        check_divides(subsets, 2, mels=input_size)
