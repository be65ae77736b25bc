"""Cut overlapping windows from a recording that is read in pieces."""

import math
from collections import deque
from numbers import Real

import numpy as np

from petl_modules.data.audio import stream_audio
from petl_modules.data.decoding import naming
from petl_modules.inference.sounds import source_of
from petl_modules.utils import AudioError, HparamsError


def in_samples(trained, window, hop=None):
    """Return window and hop in samples.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.
    window : float
        In seconds.
    hop : float or None
        In seconds. None: the window.

    Returns
    -------
    tuple of int

    Raises
    ------
    HparamsError
        They are no numbers above 0, or the model would cut the window.
    """
    hop, found = window if hop is None else hop, []
    for name, value in {"window": window, "hop": hop}.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        number = number and math.isfinite(value)
        count = round(value * trained.features.sample_rate) if number else 0
        if count < 1:
            raise HparamsError(f"{name} is {value}: give seconds above 0")
        found.append(count)
    longest = getattr(trained.features, "longest", None)
    if longest and trained.windows.test == 1 and found[0] > longest:
        seconds = longest / trained.features.sample_rate
        raise HparamsError(
            f"window is {window} s, and the model takes {seconds:.6g} s of a "
            "sound: give no more"
        )
    return tuple(found)


def cut_windows(name, sound, sample_rate, window, hop, levels):
    """Yield the windows of a sound, which is read block by block.

    Arguments
    ---------
    name : str
        How errors name the sound.
    sound : object
        See ``petl_modules.inference.sounds.source_of``.
    sample_rate : int
        The wanted rate in Hz.
    window, hop : int
        In samples at this rate.
    levels : petl_modules.data.levels.Levels
        Gets the sound's levels.

    Yields
    ------
    start : int
        The window's first sample.
    samples : numpy.ndarray
        ``[samples]``.

    Raises
    ------
    AudioError
        The sound cannot be used.
    """
    cutter = WindowCutter(window, hop)
    with naming(name):
        for block in stream_audio(source_of(sound), sample_rate, levels):
            yield from cutter.add(block)
        yield from cutter.end()
        if not cutter.count:
            raise AudioError(f"too short to hold a sample at {sample_rate} Hz")


class WindowCutter:
    """Cut windows of a signal, and hold no more of it than they need.

    They begin at multiples of the hop. If the last one ends before the signal
    does, one more ends with it. A signal shorter than a window is one.

    Arguments
    ---------
    window, hop : int
        Length of a window, and from one to the next, in samples.

    Example
    -------
    >>> cutter, signal = WindowCutter(window=4, hop=3), np.arange(9)
    >>> for start, samples in [*cutter.add(signal), *cutter.end()]:
    ...     print(start, samples)
    0 [0 1 2 3]
    3 [3 4 5 6]
    5 [5 6 7 8]
    """

    def __init__(self, window, hop):
        self.window, self.hop = window, hop
        self.count = 0  # samples that have come
        self.next = 0  # where the next window begins
        self.covered = 0  # where the last one ended
        self.pieces = deque()  # and where each begins

    def add(self, samples):
        """Return the windows that are complete with some more samples.

        Arguments
        ---------
        samples : numpy.ndarray
            ``[samples]``.

        Returns
        -------
        list of tuple
            The first sample's number, and the samples, of each window.
        """
        if len(samples):
            self.pieces.append((self.count, samples))
            self.count += len(samples)
        found = []
        while self.next + self.window <= self.count:
            found.append((self.next, self._take(self.next)))
            self.covered = self.next + self.window
            self.next += self.hop
        keep = min(self.next, self.count - self.window)
        while self.pieces and _end_of(self.pieces[0]) <= keep:
            self.pieces.popleft()
        return found

    def end(self):
        """Return the window that ends with the signal, if one is missing."""
        if self.covered == self.count:
            return []
        start = max(0, self.count - self.window)
        return [(start, self._take(start))]

    @property
    def held(self):
        """How many samples are held."""
        return sum(len(samples) for _, samples in self.pieces)

    def _take(self, start):
        """Return the samples of a window that begins at some sample."""
        stop = start + self.window
        parts = [
            samples[max(0, start - place) : max(0, stop - place)]
            for place, samples in self.pieces
        ]
        parts = [part for part in parts if len(part)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _end_of(piece):
    """Return where a piece ends."""
    place, samples = piece
    return place + len(samples)
