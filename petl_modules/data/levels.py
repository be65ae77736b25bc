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
FAR = 8  # times the level of the other classes: 18 dB
FEW = 3  # clips of a class whose level says nothing


class Levels:
    """Levels of a clip, taken from its blocks.

    Example
    -------
    >>> levels, tone = Levels(), np.sin(np.arange(1000.0))
    >>> levels.add(np.stack([tone, -tone], 1), 0 * tone)
    >>> levels.remarks() == [CANCELS]
    True
    """

    def __init__(self):
        self.samples = 0
        self.peak = 0.0  # of the channels' mean
        # Of each channel, and of their mean: mean, sum of the squared
        # differences from it, and of their products with those of the mean
        self.means = self.squares = self.products = 0.0

    def add(self, block, mean):
        """Add a block.

        Arguments
        ---------
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
        self.peak = max(self.peak, float(mean.max()), -float(mean.min()))
        # Chan, Golub and LeVeque: sums of two samples are put together
        before, self.samples = self.samples, self.samples + count
        share, change = count / self.samples, means - self.means
        self.means = self.means + share * change.astype(float)
        self.squares = self.squares + squares + before * share * change**2
        between = before * share * change * change[-1]
        self.products = self.products + products + between

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


def odd_classes(peaks):
    """Return a line for each class much louder or quieter than the others.

    Arguments
    ---------
    peaks : dict
        The peaks of the clips, by class.

    Returns
    -------
    list of str

    Example
    -------
    >>> odd_classes({"a": [0.3] * 3, "b": [0.3] * 3, "c": [0.03] * 3})
    ['c: 20 dB quieter']
    """
    middle = {
        label: median(values)
        for label, values in peaks.items()
        if len(values) >= FEW and median(values) > QUIET
    }
    lines = []
    for label, level in middle.items():
        others = [other for name, other in middle.items() if name != label]
        ratio = level / median(others) if others else 1
        if not 1 / FAR < ratio < FAR:
            how = "louder" if ratio > 1 else "quieter"
            decibels = abs(20 * np.log10(ratio))
            lines.append(f"{label}: {decibels:.0f} dB {how}")
    return lines
