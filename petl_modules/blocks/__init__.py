"""Blocks (adapter modules): ``[batch, time, d_model]`` to the same, in plain torch.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.blocks.bottleneck import Bottleneck, bottleneck_size
from petl_modules.blocks.conformer import Conformer
from petl_modules.blocks.convpass import ConvPass
from petl_modules.blocks.grouped_experts import GroupedExperts
from petl_modules.blocks.low_rank import LowRank
from petl_modules.blocks.masked_batch_norm import BatchNorm
from petl_modules.blocks.moa import DenseMoA, SoftMoA
from petl_modules.blocks.narrow_linear import widen

__all__ = [
    "BatchNorm",
    "Bottleneck",
    "Conformer",
    "ConvPass",
    "DenseMoA",
    "GroupedExperts",
    "LowRank",
    "SoftMoA",
    "bottleneck_size",
    "widen",
]
