"""Reading audio files, and checking a whole dataset of them before training.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile
import soxr
import torch
from tqdm import tqdm

from petl_modules.utils import AudioError, listed

BLOCK = 1 << 20  # frames decoded at a time


UNKNOWN = 0x7FFFF000  # programs that write to a pipe give this size or more


def read_audio(path, sample_rate=16000):
    """Read an audio file as one channel at the wanted rate.

    Channels are averaged, never dropped. Other rates are converted by soxr's
    high quality resampler.

    Arguments
    ---------
    path : str or pathlib.Path
        A file in any format that libsndfile reads.
    sample_rate : int
        The wanted rate in Hz.

    Returns
    -------
    samples : torch.Tensor
        Float32 of shape [samples].

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, no audio or truncated, or it
        holds NaN or infinite samples.

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
        if rates[0] != sample_rate:
            samples = soxr.resample(
                samples, rates[0], sample_rate, quality="HQ"
            )
        if not len(samples):
            raise AudioError(f"too short to hold a sample at {sample_rate} Hz")
    return torch.from_numpy(samples)


def check_audio(paths, title="Checking audio"):
    """Read every file wholly and report all bad ones together.

    Arguments
    ---------
    paths : iterable
        The files, as str or pathlib.Path.
    title : str
        What the progress bar says.

    Returns
    -------
    durations : list
        The length of each file in seconds, in the order of ``paths``.

    Raises
    ------
    AudioError
        At least one file cannot be used. The text lists each with its reason.

    Example
    -------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/half_a_second.wav"
    >>> soundfile.write(path, np.zeros(8000), 16000)
    >>> check_audio([path])
    [0.5]
    """
    paths = list(paths)
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        found = pool.map(_duration_or_error, paths)
        results = list(tqdm(found, title, len(paths), unit="file"))
    finally:
        pool.shutdown(cancel_futures=True)
    errors = [str(item) for item in results if isinstance(item, AudioError)]
    if errors:
        raise AudioError(
            f"{len(errors)} of {len(paths)} audio files cannot be used:\n"
            f"{listed(errors)}\n"
            "Fetch these files again from where the dataset came from, then "
            "run the same command again."
        )
    return results


def _duration_or_error(path):
    """Give a file's length in seconds, or the AudioError that it raises."""
    try:
        with _naming(path):
            frames = 0
            for rate, block in _mono_blocks(path):
                frames += len(block)
            return frames / rate
    except AudioError as error:
        return error


@contextlib.contextmanager
def _naming(path):
    """Turn what goes wrong with a file into an AudioError that names it."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from None
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        # TypeError: soundfile takes a name in .raw for headerless audio.
        reason = getattr(error, "error_string", error)
        raise AudioError(f"{path}: not audio, or damaged ({reason})") from error


def _mono_blocks(path):
    """Yield a file's (rate, block [frames]) pairs, at least one."""
    with open(path, "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise AudioError("empty file (0 bytes)")
        missing = _missing_bytes(stream)
    if missing:
        raise AudioError(f"truncated, {missing} bytes are missing at its end")
    frames = 0
    with soundfile.SoundFile(path) as audio:
        while len(block := audio.read(BLOCK, "float32", always_2d=True)):
            with np.errstate(over="ignore", invalid="ignore"):
                block = block.mean(axis=1)
            if not np.isfinite(block).all():
                raise AudioError("holds NaN or infinite samples")
            frames += len(block)
            yield audio.samplerate, block
        if frames < audio.frames:
            raise AudioError(f"truncated, {frames} of {audio.frames} frames")
    if not frames:
        raise AudioError("holds no samples")


def _missing_bytes(stream):
    """Count the bytes that a WAV header promises beyond the file's end.

    libsndfile shortens such a file without a word.
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
