"""From audio files to batches. Knows no model."""

from petl_modules.data.audio import read_audio, read_clip
from petl_modules.data.checking import AudioFacts, UsedPart, check_audio
from petl_modules.data.datasets import (
    ClipDataset,
    longest_first,
    make_datasets,
    used_part,
)
from petl_modules.data.duration_batches import (
    DurationBatches,
    durations_of,
)
from petl_modules.data.features import FilterBank, SpecAugment, Waveform
from petl_modules.data.held_out import HeldOutSpeakers
from petl_modules.data.loading import (
    audio_path,
    load_drawn,
    load_features,
    load_spaced,
    window_features,
)
from petl_modules.data.log_mel import LogMel
from petl_modules.data.mixup import Mix, draw_mixes, mix_waveforms
from petl_modules.data.samplers import BoundedBatches, EpochBatches
from petl_modules.data.speech_features import StackedFilterBank, WhisperLogMel
from petl_modules.data.splits import (
    PARTS,
    AsListed,
    Folds,
    Lists,
    Sessions,
    draw_few,
)
from petl_modules.data.training_hours import SomeHours
from petl_modules.data.windows import Windows

__all__ = [
    "AsListed",
    "AudioFacts",
    "BoundedBatches",
    "ClipDataset",
    "DurationBatches",
    "EpochBatches",
    "FilterBank",
    "Folds",
    "HeldOutSpeakers",
    "Lists",
    "LogMel",
    "Mix",
    "PARTS",
    "Sessions",
    "SomeHours",
    "SpecAugment",
    "StackedFilterBank",
    "UsedPart",
    "Waveform",
    "WhisperLogMel",
    "Windows",
    "audio_path",
    "check_audio",
    "draw_few",
    "draw_mixes",
    "durations_of",
    "load_drawn",
    "load_features",
    "load_spaced",
    "longest_first",
    "make_datasets",
    "mix_waveforms",
    "read_audio",
    "read_clip",
    "used_part",
    "window_features",
]
