"""How a checkpoint wants its input: ``preprocessor_config.json``.

The facts are named as the keys of the recipe files.
"""

import math
import os
from typing import NamedTuple

from petl_modules.backbones.checkpoint import find_checkpoint
from petl_modules.backbones.encoder_config import read_object
from petl_modules.backbones.hub import CONFIG, PREPROCESSORS
from petl_modules.backbones.layouts import WAVEFORM_KINDS
from petl_modules.utils import DownloadError, HparamsError

# From our name to the file's
INPUT_KEYS = {
    "mean": "mean",
    "std": "std",
    "mel_bins": "num_mel_bins",
    "sample_rate": "sampling_rate",
    "do_normalize": "do_normalize",
}
WAVEFORMS = {"sample_rate": 16_000, "do_normalize": True}
# By kind of encoder: its extractor, and the published values, which hold where
# a checkpoint says nothing else
PUBLISHED = {
    "audio-spectrogram-transformer": (
        "ASTFeatureExtractor",
        {"mean": -4.2677393, "std": 4.5689974, "mel_bins": 128, **WAVEFORMS},
    ),
    **dict.fromkeys(WAVEFORM_KINDS, ("Wav2Vec2FeatureExtractor", WAVEFORMS)),
    "wav2vec2-bert": (
        "SeamlessM4TFeatureExtractor",
        {"mel_bins": 80, **WAVEFORMS},
    ),
    "whisper": (
        "WhisperFeatureExtractor",
        {"mel_bins": 80, **WAVEFORMS, "do_normalize": False},
    ),
}
# What else an extractor may say, and the only values that are known here
FIXED = {
    "SeamlessM4TFeatureExtractor": {"stride": 2},
    "WhisperFeatureExtractor": {
        "n_fft": 400,
        "hop_length": 160,
        "dither": 0.0,
    },
}


class InputFacts(NamedTuple):
    """How a checkpoint wants its input, and where that is said.

    Arguments
    ---------
    source : str
        The checkpoint: a folder, or ``owner/name@commit``.
    values : dict
        By name: ``sample_rate`` and ``do_normalize``; of spectrograms
        also ``mean``, ``std`` and ``mel_bins``.
    stated : bool
        Whether the checkpoint says so. Otherwise they are what was published
        for its kind.
    """

    source: str
    values: dict
    stated: bool


def input_facts(source):
    """Return how a checkpoint wants its input.

    Arguments
    ---------
    source : str
        See ``petl_modules.backbones.find_checkpoint``.

    Returns
    -------
    InputFacts

    Raises
    ------
    HparamsError
        See ``find_checkpoint``; if the file is damaged, has an impossible
        value, contradicts ``config.json`` or belongs to another kind of input.
    DownloadError
        See ``find_checkpoint``; if the hub may have such a file, and cannot
        be reached.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import write_tiny_wav2vec2
    >>> folder = tempfile.mkdtemp() + "/tiny-wav2vec2"
    >>> write_tiny_wav2vec2(folder)
    >>> input_facts(folder).values
    {'sample_rate': 16000, 'do_normalize': True}
    """
    checkpoint = find_checkpoint(source)
    folder = checkpoint.folder
    config = read_object(folder / CONFIG)
    file, said = _read_preprocessor(folder)
    if file is None and checkpoint.unseen:
        raise DownloadError(
            f"backbone '{checkpoint.source}': its {PREPROCESSORS[1]} is not "
            "in the cache, and the hub cannot be reached. Connect once, or "
            "copy the checkpoint's whole folder here and pass its path"
        )
    kind = str(config.get("model_type"))
    extractor, published = PUBLISHED.get(kind, (None, {}))
    found = said.get("feature_extractor_type") or extractor
    if extractor and found != extractor:
        raise HparamsError(
            f"{file} is for a {found}, whose features are not known here; a "
            f"'{kind}' takes those of {extractor}"
        )
    for name, value in FIXED.get(extractor, {}).items():
        if said.get(name, value) != value:
            raise HparamsError(
                f"{file}: {name} is {said[name]!r}, and the features of "
                f"{extractor} are known here with {value!r} alone"
            )
    if extractor == "WhisperFeatureExtractor" and "feature_size" in said:
        said = {**said, "num_mel_bins": said["feature_size"]}
    values = dict(published)
    # The only number of mel bins that the encoder takes
    bins = config.get("num_mel_bins", published.get("mel_bins"))
    if bins is not None:
        values["mel_bins"] = bins
    for name in published or INPUT_KEYS:
        if INPUT_KEYS[name] in said:
            values[name] = _whole(said[INPUT_KEYS[name]])
    for name, value in values.items():
        check_fact(name, value, f"{file or folder}: {INPUT_KEYS[name]}")
    if bins not in (None, values.get("mel_bins")):
        raise HparamsError(
            f"{file} says {values['mel_bins']} mel bins, and {CONFIG} beside "
            f"it {bins}: take both from one checkpoint"
        )
    return InputFacts(checkpoint.source, values, file is not None)


def _read_preprocessor(folder):
    """Return the file that says how input is made, and what it says."""
    processor, preprocessor = files = [folder / name for name in PREPROCESSORS]
    for file in files:
        if os.path.lexists(file) and not file.is_file():
            raise HparamsError(
                f"{file} is no file, or a link to none: put the checkpoint's "
                "own there, or remove it"
            )
    if processor.is_file():
        parts = read_object(processor)
        for name in ("feature_extractor", "audio_processor"):
            if isinstance(parts.get(name), dict):
                return processor, parts[name]
    if preprocessor.is_file():
        return preprocessor, read_object(preprocessor)
    return None, {}


def _whole(value):
    """Return a whole number as such, also if it is written as 16000.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def check_fact(name, value, place):
    """Refuse a value that no input can have.

    Arguments
    ---------
    name : str
        See ``InputFacts.values``.
    value : object
        The value.
    place : str
        Where it is said, for the message.

    Raises
    ------
    HparamsError
        If it is impossible.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    right, wanted = {
        "mean": (number and math.isfinite(value), "a number"),
        "std": (number and 0 < value < math.inf, "a number above 0"),
        "mel_bins": (whole and 0 < value <= 1024, "a whole number to 1024"),
        "sample_rate": (
            whole and 1000 <= value <= 384_000,
            "a rate in Hz from 1000 to 384000",
        ),
        "do_normalize": (isinstance(value, bool), "True or False"),
    }[name]
    if not right:
        raise HparamsError(f"{place} is {value!r}: it must be {wanted}")
