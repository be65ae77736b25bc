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
from petl_modules.data.loading import (
    audio_path,
    load_drawn,
    load_features,
    load_spaced,
    window_features,
)
from petl_modules.data.samplers import EpochBatches
from petl_modules.data.splits import (
    PARTS,
    AsListed,
    Folds,
    Lists,
    Sessions,
    draw_few,
)
from petl_modules.data.windows import Windows

__all__ = [
    "AsListed",
    "AudioFacts",
    "ClipDataset",
    "EpochBatches",
    "FilterBank",
    "Folds",
    "Lists",
    "PARTS",
    "Sessions",
    "SpecAugment",
    "Waveform",
    "Windows",
    "audio_path",
    "check_audio",
    "draw_few",
    "load_drawn",
    "load_features",
    "load_spaced",
    "longest_first",
    "make_datasets",
    "read_audio",
    "read_clip",
    "used_part",
    "window_features",
]
