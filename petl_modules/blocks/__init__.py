"""Blocks (adapter modules): what methods insert and train, in plain torch.

A block maps ``[batch, time, d_in]`` to ``[batch, time, d_out]`` and knows
nothing of the encoder around it. ``petl_modules.blocks.block.Block`` is the
contract; the blocks here are its examples, ``Bottleneck`` the shortest.
"""

from petl_modules.blocks.adapter_bias import AdapterBias
from petl_modules.blocks.block import Block
from petl_modules.blocks.bottleneck import Bottleneck, bottleneck_size
from petl_modules.blocks.conformer import Conformer
from petl_modules.blocks.context import ForwardContext
from petl_modules.blocks.convpass import ConvPass
from petl_modules.blocks.dora import DoRA
from petl_modules.blocks.gc_lora import GCLoRA
from petl_modules.blocks.grouped_experts import GroupedExperts
from petl_modules.blocks.hira import HiRA
from petl_modules.blocks.layer_adapter import LayerAdapter
from petl_modules.blocks.low_rank import LowRank
from petl_modules.blocks.mamba import Mamba
from petl_modules.blocks.mambadapter import MambAdapter
from petl_modules.blocks.masked_batch_norm import MaskedBatchNorm
from petl_modules.blocks.masked_group_norm import MaskedGroupNorm
from petl_modules.blocks.moa import DenseMoA, SoftMoA
from petl_modules.blocks.narrow_linear import narrow_linear
from petl_modules.blocks.pissa import PiSSA
from petl_modules.blocks.scale import Scale

__all__ = [
    "AdapterBias",
    "Block",
    "Bottleneck",
    "Conformer",
    "ConvPass",
    "DenseMoA",
    "DoRA",
    "ForwardContext",
    "GCLoRA",
    "GroupedExperts",
    "HiRA",
    "LayerAdapter",
    "LowRank",
    "MambAdapter",
    "Mamba",
    "MaskedBatchNorm",
    "MaskedGroupNorm",
    "PiSSA",
    "Scale",
    "SoftMoA",
    "bottleneck_size",
    "narrow_linear",
]
