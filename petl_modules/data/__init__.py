"""From audio files to batches. Knows no model.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.data.audio import check_audio, read_audio
from petl_modules.data.datasets import (
    ClipDataset,
    audio_path,
    collate,
    load_features,
    longest_first,
    make_datasets,
)
from petl_modules.data.features import FilterBank, SpecAugment, Waveform
from petl_modules.data.samplers import EpochBatches
from petl_modules.data.splits import (
    PARTS,
    AsListed,
    Folds,
    Lists,
    Sessions,
    draw_few,
)

__all__ = [
    "AsListed",
    "ClipDataset",
    "EpochBatches",
    "FilterBank",
    "Folds",
    "Lists",
    "PARTS",
    "Sessions",
    "SpecAugment",
    "Waveform",
    "audio_path",
    "check_audio",
    "collate",
    "draw_few",
    "load_features",
    "longest_first",
    "make_datasets",
    "read_audio",
]
