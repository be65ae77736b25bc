"""Convert sounds to another sampling rate."""

import numpy as np
import soxr


def resampled(samples, rate, wanted):
    """Return samples at the wanted rate.

    Arguments
    ---------
    samples : numpy.ndarray
        Float32 of shape [samples].
    rate, wanted : int
        Their rate and the wanted one, in Hz.

    Returns
    -------
    numpy.ndarray
    """
    if rate == wanted:
        return samples
    return soxr.resample(samples, rate, wanted, quality="HQ")


class Resampler:
    """Convert a signal that comes in pieces, to the bit as ``resampled``.

    Arguments
    ---------
    rate, wanted : int
        The signal's rate and the wanted one, in Hz.

    Example
    -------
    >>> resampler = Resampler(8_000, 16_000)
    >>> pieces = [resampler.add(np.ones(n, "float32")) for n in (500, 500)]
    >>> sum(map(len, [*pieces, resampler.end()]))
    2000
    """

    def __init__(self, rate, wanted):
        self.stream = None
        if rate != wanted:
            self.stream = soxr.ResampleStream(
                rate, wanted, 1, "float32", quality="HQ"
            )

    def add(self, samples):
        """Return the next converted samples, as far as they are known."""
        if self.stream is None:
            return samples
        return self.stream.resample_chunk(samples)

    def end(self):
        """Return what is left when the signal has ended."""
        nothing = np.empty(0, "float32")
        if self.stream is None:
            return nothing
        return self.stream.resample_chunk(nothing, last=True)
