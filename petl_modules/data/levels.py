"""Levels of audio files: what is odd about one of them, or about a class."""

from statistics import median

import numpy as np

CANCELS = (
    "the channels cancel each other in their mean, which is what is used. "
    "Save one of them as mono"
)
DEAD = "a channel is silent, which lowers the level of the channels' mean"
SILENT = "there is nothing but silence, or a constant"
OFFSET = "samples have a constant offset of more than 0.05"
OPEN_END = "the file does not state its length, so a cut one may go unnoticed"

# What is left in the mean of all channels' power, or of one channel, as a share
# of what would be if they were unlike; and the least power of such a channel,
# as a share of the loudest one's
CANCELLED, LOUD = 0.25, 0.1
OFFSET_FROM = 0.05
QUIET = 1e-4  # standard deviation of silence: -80 dB
NO_CHANNEL = 1e-6  # power of a channel, as a share of the loudest one's
FRAME = 0.02  # seconds
LOWEST, HIGHEST = -120, 30  # dB of a frame
REACHED, AT_LEAST = 0.03, 5  # share of frames that reach a clip's level
FAR = 18  # dB from the level of the other classes
FEW = 3  # clips of a class whose level says nothing


class Levels:
    """Levels of a clip, taken from its blocks in constant memory.

    Example
    -------
    >>> levels, tone = Levels(), np.sin(np.arange(1000.0))
    >>> levels.add(16000, np.stack([tone, -tone], 1), 0 * tone)
    >>> levels.remarks() == [CANCELS]
    True
    """

    def __init__(self):
        self.samples = 0
        self.frames = np.zeros(HIGHEST - LOWEST + 1, int)  # by their dB
        self.rest = np.empty(0, np.float32)  # of the mean: not yet a frame
        # Of each channel, and of their mean: mean, sum of the squared
        # differences from it, and of their products with those of the mean
        self.means = self.squares = self.products = 0.0

    def add(self, rate, block, mean):
        """Add a block.

        Arguments
        ---------
        rate : int
            Sampling rate in Hz.
        block : numpy.ndarray
            Of shape [samples, channels].
        mean : numpy.ndarray
            The mean of the channels, of shape [samples].
        """
        count, channels = block.shape
        signals = np.empty((channels + 1, count), np.float32)  # rows are fast
        signals[:-1], signals[-1] = block.T, mean
        means = signals.mean(1)
        signals -= means[:, None]
        squares = np.array([row.dot(row) for row in signals])
        products = np.array([row.dot(signals[-1]) for row in signals])
        self._add_frames(np.concatenate([self.rest, mean]), int(FRAME * rate))
        # Chan, Golub and LeVeque: sums of two samples are put together
        before, self.samples = self.samples, self.samples + count
        share, change = count / self.samples, means - self.means
        self.means = self.means + share * change.astype(float)
        self.squares = self.squares + squares + before * share * change**2
        between = before * share * change * change[-1]
        self.products = self.products + products + between

    def _add_frames(self, samples, size):
        """Count the frames of the channels' mean by their level."""
        count = len(samples) // size
        self.rest = samples[count * size :]
        self._count(samples[: count * size].reshape(count, size))

    def _count(self, frames):
        """Count frames by their standard deviation in dB."""
        deviations = frames.std(1).clip(1e-30)
        decibels = np.rint(20 * np.log10(deviations)).clip(LOWEST, HIGHEST)
        places = decibels.astype(int) - LOWEST
        self.frames += np.bincount(places, minlength=len(self.frames))

    def level(self):
        """Return the level that 3 % of the frames reach, in dB.

        A frame has 20 ms, and its level is its standard deviation. A peak would
        be that of one click, and the level of many frames that of the pauses in
        sparse sounds, such as a sneeze. 5 frames count at least, but not more
        than half of a short clip. In 80 clips of ten classes of ESC-50 and 720
        of ten words of Speech Commands, no class is more than 14.5 dB from the
        others; with a fifth of the frames, one would be 33 dB.

        Returns
        -------
        int
        """
        if not self.frames.any() and len(self.rest):  # shorter than a frame
            self._count(self.rest[None])
        total = self.frames.sum()
        wanted = min(max(AT_LEAST, round(REACHED * total)), -(-total // 2))
        reached = self.frames[::-1].cumsum() >= max(1, wanted)
        return HIGHEST - int(reached.argmax()) if total else LOWEST

    def remarks(self):
        """Return a sentence for each thing that is odd about the clip."""
        *channels, mean = self.squares / self.samples
        channels = np.array(channels)
        loudest, count = max(channels), len(channels)
        if loudest < QUIET**2:
            return [SILENT]
        left = count * np.abs(self.products[:-1]) / self.samples
        lost = (left < CANCELLED * channels) & (channels > LOUD * loudest)
        few = mean < CANCELLED * sum(channels) / count**2
        checks = {
            CANCELS: few or lost.any(),
            DEAD: min(channels) < NO_CHANNEL * loudest,
            OFFSET: abs(self.means[-1]) > OFFSET_FROM,
        }
        return [text for text, is_so in checks.items() if is_so]


def odd_classes(levels):
    """Return a line for each class much louder or quieter than the others.

    That is if the median of its clips' levels is more than 18 dB from the
    median of all classes, or from the other one of two.

    Arguments
    ---------
    levels : dict
        The levels of the clips in dB, by class; see ``Levels.level``.

    Returns
    -------
    list of str

    Example
    -------
    >>> odd_classes({"a": [-10] * 3, "b": [-10] * 3, "c": [-30] * 3})
    ['c: 20 dB quieter']
    """
    silence = 20 * np.log10(QUIET)
    middle = {
        label: median(values)
        for label, values in levels.items()
        if len(values) >= FEW and median(values) > silence
    }
    lines = []
    for label, level in middle.items():
        others = [
            other
            for name, other in middle.items()
            if name != label or len(middle) > 2
        ]
        difference = level - median(others) if others else 0
        if abs(difference) > FAR:
            how = "louder" if difference > 0 else "quieter"
            lines.append(f"{label}: {abs(difference):.0f} dB {how}")
    return lines
