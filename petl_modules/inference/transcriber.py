"""A trained run as a transcriber of sounds of any length."""

import numpy as np
import torch
from speechbrain.utils.logger import get_logger

from petl_modules.inference.sounds import read_sound, title_of
from petl_modules.inference.trained_model import RECOGNITION, TrainedModel
from petl_modules.utils import AudioError, HparamsError

logger = get_logger(__name__)


def spans(samples, window, overlap, stride):
    """Return overlapping windows, and which of their frames are used.

    Two windows meet in the middle of their overlap.

    Arguments
    ---------
    samples : int
        Number of samples.
    window, overlap : int
        In samples; multiples of the stride, the overlap of two.
    stride : int
        Samples from a frame to the next.

    Returns
    -------
    list of tuple
        Of each window: its first sample, the one behind its last, its first
        frame that is used, and the one behind the last. The latter is None
        where the sound ends.

    Example
    -------
    >>> spans(samples=250, window=100, overlap=20, stride=10)
    [(0, 100, 0, 9), (80, 180, 1, 9), (160, 250, 1, None)]
    """
    found, start, half = [], 0, overlap // (2 * stride)
    while start + window < samples:
        first = half if start else 0
        found.append((start, start + window, first, window // stride - half))
        start += window - overlap
    found.append((start, samples, half if start else 0, None))
    return found


class Transcriber:
    """A trained model of recognition that writes what is said in a file.

    A sound that is longer than a window is read in overlapping windows, whose
    frames are put together before they are decoded.

    Arguments
    ---------
    run : str or pathlib.Path
        A run of recognition; see
        ``petl_modules.inference.trained_model.TrainedModel``.
    device : str
        Device of the model.
    backbone : str or None
        Another place of the backbone than in training.
    window : float
        Length of a window in seconds; at most what the features take.
    overlap : float
        Of two windows, in seconds.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        See ``TrainedModel``; or it is a run of another task.
    """

    def __init__(
        self, run, device="cpu", backbone=None, window=40.0, overlap=4.0
    ):
        self.trained = TrainedModel(run, device, backbone)
        self.trained.require_task(RECOGNITION)
        self.decoder = self.trained.decoder
        self.rate = self.trained.features.sample_rate
        self.stride = self._stride()
        longest = getattr(self.trained.features, "longest", None)
        window = int(window * self.rate)
        window = min(window, longest or window)
        self.window = window - window % self.stride
        overlap = int(overlap * self.rate)
        self.overlap = overlap - overlap % (2 * self.stride)
        if not 0 < self.overlap < self.window:
            raise HparamsError(
                f"windows of {self.window / self.rate} s cannot overlap by "
                f"{overlap / self.rate} s: give more than 0, and less than a "
                "window"
            )

    def _stride(self):
        """Return how many samples are between two frames."""
        longest = (
            getattr(self.trained.features, "longest", None) or 11 * self.rate
        )
        added = min(10, longest // self.rate - 1) * self.rate  # whole seconds
        short = self.rate // 2
        frames = self._frames(short + added) - self._frames(short)
        if not frames > 0 or added % frames:
            raise HparamsError(
                f"{self.trained.folder}: its encoder makes {frames} frames of "
                f"{added / self.rate:.0f} s, so windows of a long sound would "
                "not meet at a frame"
            )
        return added // frames

    def _frames(self, count):
        """Return the number of frames of so many samples."""
        features = self.trained.features(torch.zeros(count)).unsqueeze(0)
        features = features.to(self.trained.device)
        backbone = self.trained.model.encoder.backbone
        return int(backbone.mask(features, features.new_ones(1)).sum())

    def __call__(self, sound):
        """Return what is said in a sound.

        Arguments
        ---------
        sound : object
            A sound as ``petl_modules.inference.AudioClassifier`` takes it. An
            array alone is at the rate of the features.

        Returns
        -------
        str

        Raises
        ------
        petl_modules.utils.AudioError
            If the sound cannot be used, or the model makes no finite numbers
            of it.
        """
        return " ".join(word for word, *_ in self.words(sound))

    @torch.inference_mode()
    def words(self, sound):
        """Return the words, or phones, with their times.

        Arguments
        ---------
        sound
            See ``__call__``.

        Returns
        -------
        list of tuple
            Each word, and the seconds where it begins and ends: of the frames
            where the model says its units.
        """
        name, samples = self._samples(sound)
        logits = self._logits(samples)
        if not logits.isfinite().all():
            raise AudioError(
                f"{name}: the model's outputs for it are not finite, so it "
                "has no text. Is the sound far louder than those of training?"
            )
        seconds = self.stride / self.rate
        return [
            (word, first * seconds, end * seconds)
            for word, first, end in self.decoder.words(logits)[0]
        ]

    def _samples(self, sound):
        """Return a sound's name and its samples."""
        name = title_of(sound)
        if isinstance(sound, (np.ndarray, torch.Tensor)):
            sound = sound, self.rate
        clip = read_sound(sound, self.rate, name=name)
        for remark in clip.remarks:
            logger.warning(f"{name}: {remark}")
        return name, clip.samples

    def _logits(self, samples):
        """Return the logits of all frames, ``[1, time, units]``."""
        run, parts = self.trained, []
        facts = self.window, self.overlap, self.stride
        for start, stop, first, end in spans(len(samples), *facts):
            features = run.features(samples[start:stop])
            logits, mask = run.model(features.unsqueeze(0).to(run.device))
            if mask is not None:
                logits = logits[:, : int(mask.sum())]
            parts.append(logits[:, first:end].float().cpu())
        return torch.cat(parts, dim=1)
