"""The input of an exported model, from samples, in NumPy.

Each function takes the samples ``[time]`` of a clip, float32 in -1 .. 1, and
the facts in ``preprocessor.json``.
"""

import math

import numpy as np
import soundfile


def read(path, sample_rate):
    """Read a file as one channel; another rate needs the library soxr."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(1)
    if rate == sample_rate:
        return samples
    import soxr

    return soxr.resample(samples, rate, sample_rate, quality="HQ")


def features_of(samples, facts):
    """Return a clip's features, one row for each window that is classified."""
    make, longest = KINDS[facts["kind"]], facts["longest"]
    if facts["windows"] is None:
        return make(samples[:longest], facts)[None]
    windows = []
    rest, last = max(0, len(samples) - longest), max(1, facts["windows"] - 1)
    for start in [i * rest // last for i in range(facts["windows"])]:
        window = samples[start : start + longest]
        windows.append(make(np.resize(window, longest), facts))  # repeated
    return np.stack(windows)


def waveform(samples, facts):
    """Return ``[time]``, of mean 0 and variance 1."""
    if facts["normalize"]:
        samples = normalized(samples)
    return padded(samples, facts["shortest"])


def filter_bank(samples, facts):
    """Return ``[frames, mel bins]`` of Kaldi's filter bank."""
    samples = padded(samples - samples.mean(), facts["window"])
    mel = kaldi(samples, facts, np.hanning(facts["window"]))
    mel = np.pad(mel, ((0, facts["frames"] - len(mel)), (0, 0)))
    if facts["normalize"]:
        mel = (mel - facts["mean"]) / (2 * facts["std"])
    return mel


def stacked_filter_bank(samples, facts):
    """Return ``[frames / 2, 2 mel bins]`` of Kaldi's filter bank."""
    samples = padded(samples, facts["shortest"]) * 2**15
    window = np.hanning(facts["sample_rate"] * 25 // 1000) ** 0.85
    mel = kaldi(samples, facts, window)
    if facts["normalize"]:
        mel = (mel - mel.mean(0)) / np.sqrt(mel.var(0, ddof=1) + 1e-7)
    return mel[: len(mel) // 2 * 2].reshape(-1, 2 * facts["mel_bins"])


def whisper_log_mel(samples, facts):
    """Return ``[frames, mel bins]`` of the frames that hear the clip."""
    if facts["normalize"]:
        samples = normalized(samples)
    heard = math.ceil((len(samples) + 200) / 160)
    silence = min(400, facts["longest"] - len(samples))
    samples = np.pad(np.pad(samples, (0, silence)), 200, mode="reflect")
    window = np.hanning(401)[:400].astype("float32")
    frames = frames_of(samples, 400, 160)[: min(heard, facts["longest"] // 160)]
    mel = power(frames * window) @ slaney_bands(facts["mel_bins"])
    decades = np.log10(np.maximum(mel, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


KINDS = {
    "FilterBank": filter_bank,
    "StackedFilterBank": stacked_filter_bank,
    "Waveform": waveform,
    "WhisperLogMel": whisper_log_mel,
}


def padded(samples, shortest):
    """Return samples followed by silence, at least so many."""
    return np.pad(samples, (0, max(0, shortest - len(samples))))


def normalized(samples):
    """Return samples of mean 0 and variance 1."""
    return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)


def frames_of(samples, length, step):
    """Return windows of the samples, ``[frames, length]``."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::step]


def power(frames, n=None):
    """Return the power spectrum of frames, of n samples with silence."""
    return np.abs(np.fft.rfft(frames, n)).astype("float32") ** 2


def kaldi(samples, facts, window):
    """Return Kaldi's log-mel filter bank, ``[frames, mel bins]``."""
    rate, bins = facts["sample_rate"], facts["mel_bins"]
    frames = frames_of(samples, len(window), rate // 100)
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    frames = (frames - 0.97 * before) * window.astype("float32")
    size = 2 ** math.ceil(math.log2(len(window)))
    lowest, highest = (1127 * math.log(1 + f / 700) for f in (20, rate / 2))
    width = (highest - lowest) / (bins + 1)
    left = lowest + np.arange(bins, dtype="float32")[:, None] * width
    hertz = np.arange(size // 2, dtype="float32") * (rate / size)
    mel = 1127 * np.log(1 + hertz / 700)
    rising = (mel - left) / width
    bands = np.maximum(0, np.minimum(rising, 2 - rising))
    energy = power(frames, size)[:, :-1] @ bands.T
    return np.log(np.maximum(energy, np.finfo("float32").eps))


def slaney_bands(bins):
    """Return Slaney's mel bands up to 8 kHz, ``[201, bins]``."""
    step = math.log(6.4) / 27
    highest = 15 + math.log(8) / step  # linear to 1 kHz, at 15 mel
    mel = np.linspace(0, highest, bins + 2)
    hertz = np.where(mel < 15, mel * 200 / 3, 1e3 * np.exp(step * (mel - 15)))
    width = np.diff(hertz)
    slopes = hertz - np.linspace(0, 8000, 201)[:, None]
    down, up = -slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]
    bands = np.maximum(0, np.minimum(down, up)) * 2 / (hertz[2:] - hertz[:-2])
    return bands.astype("float32")
