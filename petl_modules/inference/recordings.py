"""Classify the windows of a long recording, or of a sound while it comes."""

from operator import itemgetter

import numpy as np
import torch

from petl_modules.data.audio import Clip
from petl_modules.data.decoding import decode, naming, to_mono
from petl_modules.data.levels import Levels
from petl_modules.data.resampling import Resampler
from petl_modules.data.sources import Samples, as_rate
from petl_modules.inference.batches import BATCH, warn
from petl_modules.inference.window_cutter import WindowCutter, cut_windows
from petl_modules.inference.window_scores import Window, WindowScores, best_of
from petl_modules.runs.logs import progress_bar
from petl_modules.utils import AudioError, printable


def score_recording(classifier, name, sound, spans, batch_size=BATCH):
    """Classify the windows of a recording, which is read block by block.

    Arguments
    ---------
    classifier : petl_modules.inference.AudioClassifier
        The model.
    name : str
        How messages name the recording.
    sound : object
        See ``petl_modules.inference.sounds.source_of``.
    spans : tuple of int
        Window and hop in samples.
    batch_size : int
        Windows of a batch.

    Returns
    -------
    WindowScores

    Raises
    ------
    AudioError
        It cannot be used, or the model makes no finite numbers of it.
    """
    rate, levels = classifier.trained.features.sample_rate, Levels()
    cut = cut_windows(name, sound, rate, *spans, levels)
    found = score_windows(classifier, cut, name, batch_size)
    warn(name, levels.remarks())
    starts, stops, rows = map(np.array, zip(*found))
    return WindowScores(classifier.labels, starts, stops, rows)


def score_windows(classifier, windows, name, batch_size=BATCH):
    """Return start and stop in seconds, and probabilities, of windows.

    Arguments
    ---------
    classifier, name, batch_size
        See ``score_recording``.
    windows : iterable of tuple
        See ``cut_windows``.

    Returns
    -------
    list of tuple
    """
    rate, times = classifier.trained.features.sample_rate, []

    def clips():
        for start, samples in windows:
            times.append((start / rate, (start + len(samples)) / rate))
            clip = Clip(torch.from_numpy(samples), [])
            yield f"{name}, from {start / rate:.4g} s", clip

    rows = good(classifier.each(clips(), batch_size, read=itemgetter(1)))
    shown = progress_bar(rows, printable(name), unit="window", delay=5)
    return [(*time, row) for row, time in zip([*shown], times)]


def good(found):
    """Yield outputs without their names; raise the first error."""
    for _, outputs in found:
        if isinstance(outputs, AudioError):
            raise outputs
        yield outputs


class WindowStream:
    """Windows of a sound that comes in chunks.

    They are those of the whole sound, see ``AudioClassifier.__call__``; no
    more than a window and a chunk are held.

    Arguments
    ---------
    classifier : petl_modules.inference.AudioClassifier
        The model.
    window, hop : int
        In samples, at the model's rate.
    rate : int or None
        The chunks' rate in Hz. None: the model's.
    top : int or None
        How many classes of a window to return. None: all.
    """

    def __init__(self, classifier, window, hop, rate=None, top=5):
        wanted = classifier.trained.features.sample_rate
        self.classifier, self.top = classifier, top
        with naming("the stream"):
            self.rate = wanted if rate is None else as_rate(rate)
        self.resampler = Resampler(self.rate, wanted)
        self.cutter = WindowCutter(window, hop)
        self.ended = False

    def feed(self, chunk):
        """Return the windows that are complete with a chunk.

        Arguments
        ---------
        chunk : numpy.ndarray or torch.Tensor
            Floats in -1 .. 1, ``[time]`` or ``[channels, time]``, of any
            length.

        Returns
        -------
        list of petl_modules.inference.window_scores.Window

        Raises
        ------
        petl_modules.utils.AudioError
            The chunk cannot be used, the model makes no finite numbers of
            it, or the sound has ended.
        """
        if self.ended:
            raise AudioError("the stream has ended: begin another one")
        if 0 in np.shape(chunk):
            return []
        found = []
        with naming("a chunk of the stream"):
            for samples in self._checked(chunk):
                found += self.cutter.add(self.resampler.add(samples))
        return self._scored(found)

    def end(self):
        """Return the window that ends with the sound, if one is missing.

        Returns
        -------
        list of petl_modules.inference.window_scores.Window
        """
        if self.ended:
            return []
        self.ended = True
        found = self.cutter.add(self.resampler.end())
        return self._scored([*found, *self.cutter.end()])

    def _checked(self, chunk):
        """Return the blocks of a chunk, as one channel, if all are good."""
        decoded = decode(Samples(chunk, self.rate))
        return [to_mono(block) for _, block, _ in decoded]

    def _scored(self, found):
        """Return cut windows with their classes."""
        labels = self.classifier.labels
        return [
            Window(start, stop, best_of(row, labels, self.top), row)
            for start, stop, row in score_windows(
                self.classifier, found, "the stream"
            )
        ]
