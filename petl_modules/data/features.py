"""Input features of the backbones, and their augmentation."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchaudio.compliance.kaldi import fbank
from torchaudio.functional import mask_along_axis_iid

from petl_modules.utils import HparamsError, problem


class FilterBank:
    """Compute the normalised log-mel filter bank of a clip, the input of AST.

    The clip is cut to what a number of frames needs. Kaldi's filter bank
    (25 ms windows every 10 ms, hanning, no dither, no energy) of the mean-free
    waveform is padded with zeros to that number, then ``(x - mean) / (2 std)``
    with the mean and standard deviation of AudioSet
    (https://arxiv.org/abs/2104.01778).

    Arguments
    ---------
    frames : int
        Length of the result in frames of 10 ms.
    mel_bins : int
        Number of mel bands.
    sample_rate : int
        Sampling rate of the waveforms in Hz.
    mean : float
        Mean of the log-mel values.
    std : float
        Standard deviation of the log-mel values.
    normalize : bool
        Whether to subtract the mean and to divide by ``2 std``.

    Attributes
    ----------
    longest : int
        How many samples of a clip are used.

    Example
    -------
    >>> import torch
    >>> FilterBank(frames=500)(torch.rand(80_000)).shape
    torch.Size([500, 128])
    """

    def __init__(
        self,
        frames,
        mel_bins=128,
        sample_rate=16_000,
        mean=-4.2677393,
        std=4.5689974,
        normalize=True,
    ):
        self.frames = frames
        self.mel_bins = mel_bins
        self.sample_rate = sample_rate
        self.mean = mean
        self.std = std
        self.window = sample_rate * 25 // 1000
        self.longest = self.window + (frames - 1) * (sample_rate // 100)
        self.normalize = normalize

    def __call__(self, samples):
        """Return ``[frames, mel_bins]`` for samples ``[time]`` in -1 .. 1.

        Clips shorter than one window of 25 ms are padded with silence.
        """
        samples = samples[: self.longest]
        samples = samples - samples.mean()
        samples = F.pad(samples, (0, max(0, self.window - len(samples))))
        mel = fbank(
            samples.unsqueeze(0),
            sample_frequency=self.sample_rate,
            num_mel_bins=self.mel_bins,
            window_type="hanning",
            htk_compat=True,
            use_energy=False,
            dither=0.0,
        )
        mel = F.pad(mel, (0, 0, 0, self.frames - len(mel)))
        return (mel - self.mean) / (2 * self.std) if self.normalize else mel


class Waveform:
    """Normalise the samples of a clip, the input of wav2vec 2.0.

    ``(x - mean) / sqrt(variance + 1e-7)`` over the clip, before padding
    (https://arxiv.org/abs/2006.11477, section 4.2).

    Arguments
    ---------
    seconds : float or None
        Longer clips are cut. None or ``.inf``: none is.
    normalize : bool
        Whether to normalise to mean 0 and variance 1. Checkpoints need it if
        their ``preprocessor_config.json`` has ``do_normalize``.
    sample_rate : int
        Sampling rate in Hz.
    shortest : int
        Shorter clips, too short for one frame, are padded with silence.

    Attributes
    ----------
    longest : int or None
        How many samples of a clip are used. None: all.

    Example
    -------
    >>> Waveform(seconds=1.0)(torch.rand(20_000)).shape
    torch.Size([16000])
    """

    def __init__(
        self, seconds, normalize=True, sample_rate=16_000, shortest=400
    ):
        self.longest = None
        if seconds not in (None, math.inf):
            self.longest = round(seconds * sample_rate)
        if self.longest is not None and self.longest < shortest:
            raise HparamsError(
                f"seconds is {seconds}: at least {shortest / sample_rate} s "
                "make a frame"
            )
        self.normalize = normalize
        self.sample_rate = sample_rate
        self.shortest = shortest

    def __call__(self, samples):
        """Return ``[time]`` for samples ``[time]`` in -1 .. 1."""
        samples = samples[: self.longest]
        if self.normalize:
            variance, mean = torch.var_mean(samples, correction=0)
            samples = (samples - mean) / (variance + 1e-7).sqrt()
        return F.pad(samples, (0, max(0, self.shortest - len(samples))))


class SpecAugment(nn.Module):
    """Mask one random frequency band and one random time span of each clip.

    https://arxiv.org/abs/1904.08779. Masked values are 0, the mean of
    normalised features.

    Arguments
    ---------
    freq : int
        Widest frequency mask in mel bins.
    time : int
        Widest time mask in frames.

    Raises
    ------
    HparamsError
        A width is no whole number from 0.

    Example
    -------
    >>> import torch
    >>> SpecAugment(freq=24, time=80)(torch.rand(4, 500, 128)).shape
    torch.Size([4, 500, 128])
    """

    def __init__(self, freq, time):
        super().__init__()
        widths = {"freq": freq, "time": time}
        if reason := problem(widths, dict.fromkeys(widths, range(1 << 31))):
            raise HparamsError(f"SpecAugment: {reason}")
        self.freq = freq
        self.time = time

    def forward(self, features):
        """Return a masked copy of ``[batch, frames, mel]``."""
        features = features.unsqueeze(1)
        features = mask_along_axis_iid(features, self.time, 0.0, axis=2)
        features = mask_along_axis_iid(features, self.freq, 0.0, axis=3)
        return features.squeeze(1)
