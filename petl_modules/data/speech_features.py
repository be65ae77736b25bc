"""Input features of Whisper and of w2v-BERT 2.0."""

import functools
import math

import torch
import torch.nn.functional as F
from torchaudio.compliance.kaldi import fbank
from torchaudio.functional import melscale_fbanks

from petl_modules.utils import HparamsError


class WhisperLogMel:
    """Compute the log-mel spectrogram of a clip, the input of Whisper.

    25 ms windows every 10 ms, decades of power, at most 8 below the loudest,
    ``(x + 4) / 4`` (https://arxiv.org/abs/2212.04356). Frames that hold
    nothing but the silence behind the clip are left out: the backbone adds
    them.

    Arguments
    ---------
    seconds : float or None
        The backbone's fixed length; longer clips are cut. None or ``.inf``:
        30 s.
    mel_bins : int
        Number of mel bands.
    sample_rate : int
        Sampling rate of the waveforms in Hz: 16000.
    normalize : bool
        Whether to normalise the clip to mean 0 and variance 1 first.

    Attributes
    ----------
    longest : int
        How many samples of a clip are used.

    Raises
    ------
    HparamsError
        If ``seconds`` is below one frame, or the rate another one.

    Example
    -------
    >>> WhisperLogMel(seconds=5.0)(torch.rand(16_000)).shape
    torch.Size([102, 80])
    """

    def __init__(
        self, seconds, mel_bins=80, sample_rate=16_000, normalize=False
    ):
        if sample_rate != 16_000:
            raise HparamsError(
                f"sample_rate is {sample_rate}: Whisper's features are known "
                "at 16000 Hz alone"
            )
        if seconds in (None, math.inf):
            seconds = 30.0
        # Whole frames of the encoder, which are 20 ms apart
        self.longest = round(seconds * 50) * 320
        if self.longest < 320:
            raise HparamsError(
                f"seconds is {seconds}: at least 0.02 s make a frame"
            )
        self.mel_bins = mel_bins
        self.sample_rate = sample_rate
        self.normalize = normalize

    def __call__(self, samples):
        """Return ``[frames, mel_bins]`` for samples ``[time]`` in -1 .. 1."""
        samples = samples[: self.longest]
        if self.normalize:
            variance, mean = torch.var_mean(samples, correction=0)
            samples = (samples - mean) / (variance + 1e-7).sqrt()
        frames = math.ceil((len(samples) + 200) / 160)  # that hear the clip
        silence = min(400, self.longest - len(samples))
        spectrum = torch.stft(
            F.pad(samples, (0, silence)),
            n_fft=400,
            hop_length=160,
            window=torch.hann_window(400),
            return_complex=True,
        )
        frames = min(frames, self.longest // 160)
        power = spectrum[:, :frames].abs().square()
        mel = mel_bands(self.mel_bins).T @ power
        decades = mel.clamp(min=1e-10).log10()
        decades = decades.clamp(min=decades.max() - 8.0)
        return ((decades + 4.0) / 4.0).T.contiguous()


@functools.cache
def mel_bands(mel_bins):
    """Return Slaney's mel bands up to 8 kHz, ``[201, mel_bins]``."""
    return melscale_fbanks(
        n_freqs=201,
        f_min=0.0,
        f_max=8000.0,
        n_mels=mel_bins,
        sample_rate=16_000,
        norm="slaney",
        mel_scale="slaney",
    )


class StackedFilterBank:
    """Compute stacked frames of a log-mel filter bank, as w2v-BERT 2.0 takes.

    Kaldi's filter bank (25 ms windows every 10 ms, povey, no dither), each
    band of mean 0 and variance 1 over the clip, and two frames stacked as one
    (https://arxiv.org/abs/2312.05187). A last odd frame is left out.

    Arguments
    ---------
    seconds : float or None
        Longer clips are cut. None or ``.inf``: none is.
    mel_bins : int
        Number of mel bands.
    sample_rate : int
        Sampling rate of the waveforms in Hz.
    normalize : bool
        Whether each band has mean 0 and variance 1.

    Attributes
    ----------
    longest : int or None
        How many samples of a clip are used. None: all.

    Raises
    ------
    HparamsError
        If ``seconds`` is below one frame.

    Example
    -------
    >>> StackedFilterBank(seconds=1.0)(torch.rand(20_000)).shape
    torch.Size([49, 160])
    """

    def __init__(
        self, seconds, mel_bins=80, sample_rate=16_000, normalize=True
    ):
        self.normalize = normalize
        self.mel_bins = mel_bins
        self.sample_rate = sample_rate
        self.shortest = sample_rate * 35 // 1000  # of two frames
        self.longest = None
        if seconds not in (None, math.inf):
            self.longest = round(seconds * sample_rate)
        if self.longest is not None and self.longest < self.shortest:
            raise HparamsError(
                f"seconds is {seconds}: at least 0.035 s make a frame"
            )

    def __call__(self, samples):
        """Return ``[frames, 2 mel_bins]`` for samples ``[time]`` in -1 .. 1.

        Clips shorter than two windows are padded with silence.
        """
        samples = samples[: self.longest]
        samples = F.pad(samples, (0, max(0, self.shortest - len(samples))))
        mel = fbank(
            samples.unsqueeze(0) * 2**15,  # of 16-bit integers
            sample_frequency=self.sample_rate,
            num_mel_bins=self.mel_bins,
            window_type="povey",
            use_energy=False,
            dither=0.0,
        )
        if self.normalize:
            variance, mean = torch.var_mean(mel, dim=0)
            mel = (mel - mean) / (variance + 1e-7).sqrt()
        return mel[: len(mel) // 2 * 2].reshape(-1, 2 * self.mel_bins)
