"""What sounds are read from: files, file objects, samples in memory."""

import codecs
import contextlib
import io
import os
import stat

import numpy as np
import torch

from petl_modules.utils import AudioError

BLOCK = 1 << 16  # samples of a channel that are decoded at a time
RATES = 1_000, 1_000_000  # Hz
CHANNELS = 64  # more are taken for samples, if there are fewer of these
# How whole numbers become -1 .. 1, by their type
SCALES = {
    "uint8": "Subtract 128 from them, and divide by 128",
    "int16": "Divide them by 32768",
    "int32": "Divide them by 2147483648",
}


class Samples:
    """Samples in memory, which are decoded as if they were a file.

    Arguments
    ---------
    array : numpy.ndarray, torch.Tensor or list of float
        Floats in -1 .. 1, ``[time]`` or ``[channels, time]``.
    rate : int
        Their sampling rate in Hz.

    Raises
    ------
    AudioError
        They are of another type or shape, or the rate is missing or none of
        sound.

    Example
    -------
    >>> stereo = Samples(np.zeros((2, 8000)), 16000)
    >>> print(stereo)
    samples of shape (2, 8000) at 16000 Hz
    >>> [block.shape for block in stereo.blocks()]
    [(8000, 2)]
    """

    def __init__(self, array, rate):
        self.array, self.rate = _as_array(array), as_rate(rate)
        shape, kind = self.array.shape, self.array.dtype
        if len(shape) not in (1, 2):
            raise AudioError(
                f"its samples have shape {shape}: give [time] or "
                "[channels, time]"
            )
        if not self.array.size:
            raise AudioError(f"holds no samples, its shape is {shape}")
        if kind.kind in "iu":
            peak = np.abs(self.array.astype("float64")).max()
            raise AudioError(
                f"its samples are {kind} and reach {peak:.0f}, and should be "
                f"from -1 to 1. {SCALES.get(str(kind), SCALES['int16'])}"
            )
        if kind.kind != "f":
            raise AudioError(
                f"its samples are of type {kind}: give floats from -1 to 1"
            )
        if len(shape) == 2 and shape[0] > max(shape[1], CHANNELS):
            raise AudioError(
                f"its samples have shape {shape}, which would be {shape[0]} "
                "channels: give [channels, time], here its .T"
            )

    def __str__(self):
        return f"samples of shape {self.array.shape} at {self.rate} Hz"

    def blocks(self, skip=0):
        """Yield blocks, float32 of shape [samples, channels].

        Arguments
        ---------
        skip : int
            Seconds to leave out at the beginning.
        """
        rows = np.atleast_2d(self.array)
        for start in range(skip * self.rate, rows.shape[1], BLOCK):
            yield rows[:, start : start + BLOCK].astype("float32").T


def _as_array(array):
    """Return samples as a NumPy array, which may share their memory."""
    try:
        if isinstance(array, torch.Tensor):
            array = array.detach().cpu()
            array = array.float() if array.dtype == torch.bfloat16 else array
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"its samples are no array ({error})") from error


def as_rate(rate):
    """Return a sampling rate in Hz as an int.

    Raises
    ------
    AudioError
        It is missing, or none of sound.
    """
    if rate is None:
        raise AudioError(
            "its sampling rate is missing: give (array, rate), or a dict with "
            "array and sampling_rate"
        )
    try:
        whole = int(rate)
        if whole != rate or isinstance(rate, bool):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        text = f"its sampling rate is {rate!r}: give whole Hz"
        raise AudioError(text) from None
    low, high = RATES
    if not low <= whole <= high:
        raise AudioError(
            f"its sampling rate is {whole} Hz: give {low} to {high}"
        )
    return whole


@contextlib.contextmanager
def opened(source):
    """Open what a sound is read from; what was open stays so.

    Arguments
    ---------
    source : str, pathlib.Path or binary file object
        An object that cannot seek is read to its end.

    Yields
    ------
    stream : io.BufferedIOBase

    Raises
    ------
    AudioError
        It is no file of bytes.
    OSError
        It cannot be opened.
    """
    if hasattr(source, "read"):
        yield _seekable(source)
        return
    mode = os.stat(source).st_mode
    if stat.S_ISDIR(mode):
        raise AudioError("a folder, not an audio file")
    if not stat.S_ISREG(mode):  # to open a pipe would wait for its writer
        raise AudioError("a pipe or device, not an audio file")
    with open(source, "rb") as stream:
        yield stream


def _seekable(file):
    """Return a file object, or one of its content if it cannot seek."""
    if isinstance(file, (io.TextIOBase, codecs.StreamReaderWriter)):
        raise AudioError("it is open as text: open it with 'rb'")
    # A raw file may give fewer bytes than it is asked for
    if isinstance(file, io.RawIOBase) or not (
        hasattr(file, "readinto") and file.seekable()
    ):
        content = file.read()
        if isinstance(content, (bytes, bytearray, memoryview)):
            return io.BytesIO(content)
        raise AudioError(f"reading it gives a {type(content).__name__}")
    return file


def name_of(source):
    """Return how a message names what a sound is read from.

    Example
    -------
    >>> name_of("dog.wav"), name_of(io.BytesIO())
    ('dog.wav', 'a file object')
    """
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "a file object"
    return str(source)
