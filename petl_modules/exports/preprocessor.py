"""``preprocessor_config.json``: how sounds become inputs, for transformers."""

from petl_modules.data import (
    FilterBank,
    StackedFilterBank,
    Waveform,
    WhisperLogMel,
)

COMMON = {
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
}


def preprocessor_config(features, windows):
    """Return the content of ``preprocessor_config.json``.

    Arguments
    ---------
    features : callable
        See ``petl_modules.data.load_features``.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.

    Returns
    -------
    dict or None
        None: transformers has no such features. ``longest`` and ``windows``
        are for the extractor in ``modeling_petl.py``, which cuts clips so.

    Example
    -------
    >>> from petl_modules.data import Windows
    >>> config = preprocessor_config(Waveform(seconds=1.0), Windows())
    >>> config["feature_extractor_type"], config["longest"], config["windows"]
    ('Wav2Vec2FeatureExtractor', 16000, None)
    """
    make = MAKERS.get(type(features))
    if make is None:
        return None
    parts = windows.moving and windows.test != "whole"
    return {
        **COMMON,
        "sampling_rate": features.sample_rate,
        "do_normalize": features.normalize,
        "longest": features.longest,
        "windows": windows.test if parts else None,
        **make(features),
    }


def _filter_bank(features):
    return {
        "feature_extractor_type": "ASTFeatureExtractor",
        "max_length": features.frames,
        "mean": features.mean,
        "num_mel_bins": features.mel_bins,
        "return_attention_mask": False,
        "std": features.std,
    }


def _waveform(features):
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "return_attention_mask": True,
        "shortest": features.shortest,
    }


def _stacked(features):
    return {
        "feature_extractor_type": "SeamlessM4TFeatureExtractor",
        "feature_size": features.mel_bins,
        "num_mel_bins": features.mel_bins,
        "return_attention_mask": True,
        "stride": 2,
    }


def _whisper(features):
    return {
        "chunk_length": -(-features.longest // features.sample_rate),
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": features.mel_bins,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": features.longest,
        "nb_max_frames": features.longest // 160,
        "return_attention_mask": True,
    }


MAKERS = {
    FilterBank: _filter_bank,
    StackedFilterBank: _stacked,
    Waveform: _waveform,
    WhisperLogMel: _whisper,
}
