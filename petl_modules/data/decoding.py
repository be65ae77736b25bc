"""Decode audio files block by block, as far as they are needed."""

import contextlib
import hashlib
import math
from pathlib import Path

import numpy as np
import soundfile

from petl_modules.data.containers import Window, parts_of
from petl_modules.data.containers.part import size_of
from petl_modules.data.sources import BLOCK, RATES, Samples, name_of, opened
from petl_modules.utils import AudioError

VALUES = 1 << 20  # of all channels, at most that are decoded at a time
LOUDEST = 16  # float formats hold samples a little beyond -1 .. 1
SLACK = 2  # seconds that decoders may leave out at the beginning
# Formats, by libsndfile's names of them, whose samples are the same wherever
# decoding starts
SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")


def decode(source, seconds=math.inf, skip=0):
    """Decode a file, as far as it is consumed.

    Arguments
    ---------
    source : str, pathlib.Path, binary file object or Samples
        The file, read from its beginning; or samples in its place.
    seconds : float
        How much will be consumed, from the file's beginning. See
        ``petl_modules.data.containers``.
    skip : int
        Seconds to leave out at the beginning. They are not read where samples
        do not depend on those before them.

    Yields
    ------
    rate : int
        Sampling rate in Hz, the same for all blocks.
    block : numpy.ndarray
        Float32 of shape [samples, channels], not empty.
    stated : bool
        Whether the file states the length of this part of it.

    Raises
    ------
    AudioError
        The file cannot be used.
    OSError
        It cannot be read.
    """
    if isinstance(source, Samples):
        for block in source.blocks(skip):
            _check_values(block)
            yield source.rate, block, True
        return
    before, place = None, 0
    with opened(source) as stream:
        if not size_of(stream):
            raise AudioError("empty file (0 bytes)")
        for opens, stated in _sources(source, stream, seconds):
            for kind, jump, block in _blocks(opens, 0 if place else skip):
                if kind != (before or kind):
                    raise AudioError(
                        "its parts differ in rate or channels. Save it as one "
                        "part"
                    )
                before = kind
                place += jump
                left_out = max(0, skip * kind[0] - place)
                place += len(block)
                if len(block) > left_out:
                    yield kind[0], block[left_out:], stated
    if before is None:
        raise AudioError("holds no samples")


def to_mono(block):
    """Return the mean of the channels.

    For a few channels, numpy's own mean along the last axis is a hundred times
    as slow.

    Arguments
    ---------
    block : numpy.ndarray
        Of shape [samples, channels].

    Returns
    -------
    numpy.ndarray
        Of shape [samples].

    Example
    -------
    >>> to_mono(np.array([[0.5, 0.25], [1.0, -1.0]])).tolist()
    [0.375, 0.0]
    """
    first, *others = block.T
    total = first.copy()
    for channel in others:
        total += channel
    total /= len(block.T)
    return total


def _sources(source, stream, seconds):
    """Yield what soundfile opens, and whether its length is stated."""
    is_path = not hasattr(source, "read")
    if is_path and Path(source).suffix.lower() == ".sd2":
        yield str(source), False  # libsndfile needs its second file too
        return
    for part in parts_of(stream, seconds + SLACK):
        yield _Source(stream, part), part.stated


class _Source(Window):
    """A part of a file for libsndfile, which knows no errors in reading.

    After an error it gets the end of the file, and the error is kept.
    """

    failure = None

    def readinto(self, buffer):
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.failure = error
            return 0


def _blocks(source, skip):
    """Yield the blocks of a file or a part of it.

    Arguments
    ---------
    source : str or io.RawIOBase
        What soundfile opens.
    skip : int
        Seconds that may be left out at the beginning.

    Yields
    ------
    kind : tuple of int
        Rate and channels.
    jump : int
        How many samples are left out before this block.
    block : numpy.ndarray
    """
    wanted = source.part.md5 if isinstance(source, _Source) else b""
    samples, jump, md5 = 0, 0, hashlib.md5(usedforsecurity=False)
    try:
        with soundfile.SoundFile(source) as audio:
            kind = audio.samplerate, audio.channels
            _check_rate(audio.samplerate)
            first = skip * audio.samplerate
            if audio.subtype.startswith(SEEKABLE) and 0 < first < audio.frames:
                samples = jump = audio.seek(first)
                wanted = b""  # it is that of all samples
            size = min(BLOCK, VALUES // audio.channels)
            while len(block := audio.read(size, "float32", always_2d=True)):
                _check_values(block)
                samples += len(block)
                if wanted:
                    md5.update(_as_integers(block, audio.subtype))
                yield kind, jump, block
                jump = 0
            if wanted not in (b"", md5.digest()):
                raise AudioError(
                    "damaged, its samples have another MD5 than its header says"
                )
            if samples < audio.frames:
                raise AudioError(
                    f"truncated, {samples} of {audio.frames} samples"
                )
    finally:
        if failure := getattr(source, "failure", None):
            raise failure  # the cause of any other error


def _as_integers(block, subtype):
    """Return the bytes of samples as integers, the channels interleaved."""
    size = {"PCM_S8": 1, "PCM_16": 2, "PCM_24": 3}[subtype]
    values = np.rint(block * 2.0 ** (8 * size - 1)).astype("<i4")
    return values.view(np.uint8).reshape(-1, 4)[:, :size].tobytes()


def _check_rate(rate):
    """Check that a rate is that of sound."""
    low, high = RATES
    if not low <= rate <= high:
        raise AudioError(
            f"its header says {rate} samples a second: from {low} to {high} "
            "can be read"
        )


def _check_values(block):
    """Check that samples are numbers from about -1 to 1."""
    peak = max(block.max(), -block.min())
    if peak <= LOUDEST:
        return
    if not np.isfinite(block).all():
        raise AudioError("holds NaN or infinite samples")
    raise AudioError(
        f"its samples reach {peak:.4g}, and should be from -1 to 1. Divide "
        "them, most likely by 32768, or save them as integers"
    )


@contextlib.contextmanager
def naming(source):
    """Turn any error in reading a file into an AudioError with its name."""
    path = name_of(source)
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from None
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    except (soundfile.SoundFileError, ValueError) as error:
        # ValueError: a path that no file can have
        reason = getattr(error, "error_string", error)
        raise AudioError(f"{path}: not audio, or damaged ({reason})") from error
