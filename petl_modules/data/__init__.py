"""From audio files to batches. Knows no model."""

from petl_modules.data.audio import (
    AudioFacts,
    check_audio,
    read_audio,
    read_clip,
)
from petl_modules.data.datasets import (
    ClipDataset,
    longest_first,
    make_datasets,
    used_part,
)
from petl_modules.data.features import FilterBank, SpecAugment, Waveform
from petl_modules.data.loading import audio_path, load_features
from petl_modules.data.mixup import Mix, draw_mixes, mix_waveforms
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
    "AudioFacts",
    "ClipDataset",
    "EpochBatches",
    "FilterBank",
    "Folds",
    "Lists",
    "Mix",
    "PARTS",
    "Sessions",
    "SpecAugment",
    "Waveform",
    "audio_path",
    "check_audio",
    "draw_few",
    "draw_mixes",
    "load_features",
    "longest_first",
    "make_datasets",
    "mix_waveforms",
    "read_audio",
    "read_clip",
    "used_part",
]
