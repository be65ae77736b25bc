"""Read audio files, or their beginnings, at the wanted rate."""

import contextlib
import math
from typing import NamedTuple

import numpy as np
import torch

from petl_modules.data.decoding import decode, naming, to_mono
from petl_modules.data.digests import MARGIN, Hasher, to_verify
from petl_modules.data.levels import Levels
from petl_modules.data.resampling import Resampler, resampled
from petl_modules.utils import AudioError


class Clip(NamedTuple):
    """What ``read_clip`` returns."""

    samples: torch.Tensor  # float32 of shape [samples]
    remarks: list  # sentences: what is odd about it


def read_audio(path, sample_rate=16000, digest=None, longest=None, start=0):
    """Read an audio file, or a part of it, as one channel at the wanted rate.

    Channels are averaged, never dropped. Other rates are converted by soxr's
    high quality resampler.

    Arguments
    ---------
    path : str or pathlib.Path
        A file in any format that libsndfile reads.
    sample_rate : int
        The wanted rate in Hz.
    digest : str or None
        The ``AudioFacts.digest`` that the file must have: it is then read
        from its beginning. None: any.
    longest : int or None
        How many samples to return at most. The rest of the file is not read;
        the samples are the same as if it were. None: all.
    start : int
        The first sample to return. What is in front of it is not read where
        the format allows that; the samples are then the same as if it were, at
        another rate but for rounding (2e-7 of full scale).

    Returns
    -------
    samples : torch.Tensor
        Float32 of shape [samples].

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, no audio or truncated, it
        holds samples that are not finite or far beyond -1 .. 1, or has another
        digest.

    Example
    -------
    >>> import tempfile, soundfile
    >>> path = tempfile.mkdtemp() + "/stereo.wav"
    >>> soundfile.write(path, np.zeros((44100, 2)), 44100)
    >>> read_audio(path).shape
    torch.Size([16000])
    """
    with naming(path):
        return _read(path, sample_rate, digest, longest, start)[0]


def read_clip(source, sample_rate=16000, longest=None, name=None):
    """Read a sound as ``read_audio`` does, and say what is odd about it.

    Arguments
    ---------
    source : str, pathlib.Path, binary file object or Samples
        The sound.
    sample_rate, longest
        See ``read_audio``.
    name : str or None
        How errors name it. None: see ``petl_modules.data.sources.name_of``.

    Returns
    -------
    Clip
        Its remarks also say if the file is longer than what is read.

    Raises
    ------
    AudioError
        See ``read_audio``.
    """
    levels = Levels()
    with naming(source if name is None else name):
        samples, is_longer = _read(
            source, sample_rate, None, longest, 0, levels
        )
    remarks = levels.remarks()
    if is_longer:
        seconds = f"{longest / sample_rate:.4g} s"
        remarks.append(f"longer than {seconds}: the first {seconds} are used")
    return Clip(samples, remarks)


def stream_audio(source, sample_rate=16000, levels=None):
    """Yield a sound block by block; together the samples of ``read_audio``.

    Arguments
    ---------
    source : str, pathlib.Path, binary file object or Samples
        The sound.
    sample_rate : int
        The wanted rate in Hz.
    levels : petl_modules.data.levels.Levels or None
        Gets the levels.

    Yields
    ------
    numpy.ndarray
        Float32 of shape [samples]; may be empty.

    Raises
    ------
    AudioError, OSError
        See ``petl_modules.data.decoding.decode``; they do not name the sound.
    """
    resampler = None
    for rate, block, _ in decode(source):
        mean = to_mono(block)
        if levels is not None:
            levels.add(rate, block, mean)
        resampler = resampler or Resampler(rate, sample_rate)
        yield resampler.add(mean)
    yield resampler.end()


def _read(path, sample_rate, digest, longest, start, levels=None):
    """Return samples, and whether the file has more than the longest."""
    # Of a whole second, the resampler has the same phase as of the beginning
    skip = 0 if digest else max(0, start // sample_rate - MARGIN)
    end = math.inf if longest is None else start + longest
    seconds = end / sample_rate + MARGIN
    used = end / sample_rate
    until = seconds  # of the file
    if digest:
        until = to_verify(seconds)
    blocks, count, hasher, ended = [], None, None, False
    with contextlib.closing(decode(path, until, skip)) as decoded:
        for rate, block, _ in decoded:
            count = skip * rate if count is None else count
            hasher = hasher or Hasher(rate)
            mean = to_mono(block)
            if digest:
                hasher.add(mean)
            if levels and count < used * rate:
                some = math.ceil(min(len(mean), used * rate - count))
                levels.add(rate, block[:some], mean[:some])
            if count < seconds * rate:
                blocks.append(mean)
            count += len(mean)
            if count >= until * rate:
                break
        else:
            ended = True
    if digest and not hasher.fits(digest, ended):
        raise AudioError(
            "changed since it was checked. Wait until nothing writes to "
            "the data, then run the same command again"
        )
    if not blocks:
        raise AudioError(f"has no second {skip + 1}, where samples are wanted")
    samples = np.concatenate(blocks)
    if longest is not None:
        samples = samples[: math.ceil((seconds - skip) * rate)]
    samples = resampled(samples, rate, sample_rate)
    samples = samples[start - skip * sample_rate :]
    if not len(samples):
        raise AudioError(f"too short to hold a sample at {sample_rate} Hz")
    is_longer = longest is not None and len(samples) > longest
    return torch.from_numpy(samples[:longest]), is_longer
