"""Input features of speaker models that are trained from scratch."""

import torch
from speechbrain.lobes.features import Fbank

from petl_modules.utils import HparamsError


class LogMel:
    """Compute SpeechBrain's log-mel filter bank, each band of mean 0.

    Arguments
    ---------
    seconds : float or None
        Longer clips are cut. None: no clip is.
    mel_bins : int
        Number of mel bands.
    sample_rate : int
        Sampling rate of the waveforms in Hz.

    Attributes
    ----------
    longest : int or None
        How many samples of a clip are used.

    Example
    -------
    >>> LogMel(seconds=1.0)(torch.rand(20_000)).shape
    torch.Size([101, 80])
    """

    def __init__(self, seconds, mel_bins=80, sample_rate=16_000):
        self.mel_bins = mel_bins
        self.sample_rate = sample_rate
        self.longest = None if seconds is None else round(seconds * sample_rate)
        if self.longest is not None and self.longest < sample_rate // 10:
            raise HparamsError(f"seconds is {seconds}: give at least 0.1")
        self.fbank = Fbank(sample_rate=sample_rate, n_mels=mel_bins)

    @torch.no_grad()
    def __call__(self, samples):
        """Return ``[frames, mel_bins]`` for samples ``[time]`` in -1 .. 1."""
        samples = samples[: self.longest]
        mel = self.fbank(samples.unsqueeze(0))[0]
        return mel - mel.mean(0)
