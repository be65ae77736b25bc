"""Digests of samples, which tell equal sounds and files that have changed."""

import hashlib
import math

HEAD = 20  # seconds that have a digest of their own
MARGIN = 1  # seconds behind what is wanted, for the resampler's filter


def to_verify(seconds):
    """Return how much of a file a digest needs, if so much of it is wanted.

    Arguments
    ---------
    seconds : float
        What is wanted.

    Returns
    -------
    float
        In seconds.

    Example
    -------
    >>> to_verify(5.0), to_verify(60.0)
    (21, inf)
    """
    return HEAD + MARGIN if seconds <= HEAD else math.inf


class Hasher:
    """The digest of rate and samples, before any resampling.

    It has 32 hex digits. Of more than ``HEAD`` seconds, the first 16 are those
    of the head.

    Arguments
    ---------
    rate : int
        Sampling rate in Hz.

    Example
    -------
    >>> import numpy as np
    >>> hasher = Hasher(16000)
    >>> hasher.add(np.zeros(100, np.float32))
    >>> len(hasher.digest())
    32
    """

    def __init__(self, rate):
        self.hash = hashlib.sha256(b"%d Hz:" % rate)
        self.left = HEAD * rate  # samples up to the end of the head
        self.head = ""

    def add(self, samples):
        """Add samples, float32 of shape ``[samples]``."""
        if not self.head and len(samples) > self.left:
            self.hash.update(samples[: self.left])
            self.head = self.hash.hexdigest()[:16]
            samples = samples[self.left :]
        self.left -= len(samples)
        self.hash.update(samples)

    def digest(self):
        """Return the digest of the samples so far."""
        whole = self.hash.hexdigest()
        return (self.head + whole)[:32]

    def fits(self, digest, ended):
        """Return whether a digest is that of the samples so far.

        Arguments
        ---------
        digest : str
            The digest of a whole file.
        ended : bool
            Whether these are all samples of the file, or more than its head.
        """
        if ended:
            return digest == self.digest()
        return bool(self.head) and digest.startswith(self.head)
