"""Read audio files, and check those of a whole dataset before training."""

import contextlib
import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch
from tqdm import tqdm

from petl_modules.utils import AudioError, listed

BLOCK = 1 << 20  # samples of a channel that are decoded at a time
UNKNOWN = 0x7FFFF000  # programs that write to a pipe give this size or more


class AudioFacts(NamedTuple):
    """Duration and digest of an audio file, as ``check_audio`` returns them."""

    duration: float  # in seconds
    digest: str  # of rate and samples, before any resampling; 32 hex digits


def read_audio(path, sample_rate=16000, digest=None):
    """Read an audio file as one channel at the wanted rate.

    Channels are averaged, never dropped. Other rates are converted by soxr's
    high quality resampler.

    Arguments
    ---------
    path : str or pathlib.Path
        A file in any format that libsndfile reads.
    sample_rate : int
        The wanted rate in Hz.
    digest : str or None
        The ``AudioFacts.digest`` that the file must have. None: any.

    Returns
    -------
    samples : torch.Tensor
        Float32 of shape [samples].

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, no audio or truncated, it
        holds NaN or infinite samples, or has another digest.

    Example
    -------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/stereo.wav"
    >>> soundfile.write(path, np.zeros((44100, 2)), 44100)
    >>> read_audio(path).shape
    torch.Size([16000])
    """
    with _naming(path):
        rates, blocks = zip(*_mono_blocks(path))
        samples = np.concatenate(blocks)
        if digest and _hex(_hasher(rates[0], samples)) != digest:
            raise AudioError(
                "changed since it was checked. Wait until nothing writes to "
                "the data, then run the same command again"
            )
        if rates[0] != sample_rate:
            samples = soxr.resample(
                samples, rates[0], sample_rate, quality="HQ"
            )
        if not len(samples):
            raise AudioError(f"too short to hold a sample at {sample_rate} Hz")
    return torch.from_numpy(samples)


def check_audio(paths, title="Checking audio", skip_bad_audio=False):
    """Read every file completely and report all bad files in one error.

    Arguments
    ---------
    paths : iterable
        The files, as str or pathlib.Path.
    title : str
        The label of the progress bar.
    skip_bad_audio : bool
        Return the error of a bad file in the list instead of raising it.

    Returns
    -------
    facts : list
        An ``AudioFacts``, or an ``AudioError``, for each file, in the order
        of ``paths``.

    Raises
    ------
    AudioError
        At least one file cannot be used; with ``skip_bad_audio``, none can.
        The text lists each with its reason.

    Example
    -------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/half_a_second.wav"
    >>> soundfile.write(path, np.zeros(8000), 16000)
    >>> check_audio([path])[0].duration
    0.5
    """
    paths = list(paths)
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        facts = pool.map(_facts_or_error, paths)
        facts = list(tqdm(facts, title, len(paths), unit="file"))
    finally:
        pool.shutdown(cancel_futures=True)
    errors = [str(item) for item in facts if isinstance(item, AudioError)]
    if errors and (len(errors) == len(paths) or not skip_bad_audio):
        raise AudioError(
            f"{len(errors)} of {len(paths)} audio files cannot be used:\n"
            f"{listed(errors)}\n"
            "Fetch these files again from where the dataset came from, then "
            "run the same command again."
        )
    return facts


def _facts_or_error(path):
    """Return a file's ``AudioFacts``, or the ``AudioError`` it raises."""
    try:
        with _naming(path):
            samples, hasher = 0, None
            for rate, block in _mono_blocks(path):
                samples += len(block)
                hasher = hasher or _hasher(rate)
                hasher.update(block)
            return AudioFacts(samples / rate, _hex(hasher))
    except AudioError as error:
        return error


def _hasher(rate, samples=b""):
    """Start the digest of an audio file with its rate and first samples."""
    hasher = hashlib.sha256(b"%d Hz:" % rate)
    hasher.update(samples)
    return hasher


def _hex(hasher):
    """Return the first 32 hex digits of a digest."""
    return hasher.hexdigest()[:32]


@contextlib.contextmanager
def _naming(path):
    """Turn any error in reading a file into an AudioError with its path."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from None
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        # TypeError: soundfile reads a file named *.raw as headerless audio
        reason = getattr(error, "error_string", error)
        raise AudioError(f"{path}: not audio, or damaged ({reason})") from error


def _mono_blocks(path):
    """Yield a file's (rate, block [samples]) pairs, at least one."""
    with open(path, "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise AudioError("empty file (0 bytes)")
        missing = _missing_bytes(stream)
    if missing:
        raise AudioError(f"truncated, {missing} bytes are missing at its end")
    samples = 0
    with soundfile.SoundFile(path) as audio:
        while len(block := audio.read(BLOCK, "float32", always_2d=True)):
            with np.errstate(over="ignore", invalid="ignore"):
                block = block.mean(axis=1)
            if not np.isfinite(block).all():
                raise AudioError("holds NaN or infinite samples")
            samples += len(block)
            yield audio.samplerate, block
        if samples < audio.frames:
            raise AudioError(f"truncated, {samples} of {audio.frames} samples")
    if not samples:
        raise AudioError("holds no samples")


def _missing_bytes(stream):
    """Count the bytes that a WAV header promises beyond the file's end.

    libsndfile reads a truncated file without an error, as a shorter one.
    """
    size = os.fstat(stream.fileno()).st_size
    head = stream.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0
    while len(head := stream.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            known = length < UNKNOWN
            return max(0, stream.tell() + length - size) if known else 0
        stream.seek(length + length % 2, os.SEEK_CUR)
    return 0
