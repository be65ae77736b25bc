"""Read audio files, and check those of a whole dataset before training."""

import contextlib
import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import soxr
import torch
from tqdm import tqdm

from petl_modules.data.decoding import decode, naming, to_mono
from petl_modules.data.levels import OPEN_END, Levels
from petl_modules.utils import AudioError, listed

RATE = 16_000  # Hz, of all features
HEAD = 20  # seconds that have a digest of their own
MARGIN = 1  # seconds around what is wanted, for the resampler's filter


class AudioFacts(NamedTuple):
    """What ``check_audio`` finds out about an audio file."""

    duration: float  # in seconds
    # Of rate and samples, before any resampling; 32 hex digits. If the file is
    # longer than HEAD, the first 16 are of its first HEAD seconds
    digest: str
    peak: float = 0.0  # of the channels' mean
    remarks: tuple = ()  # sentences: what is odd about it


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


def read_clip(path, sample_rate=16000, longest=None):
    """Read an audio file as ``read_audio`` does, and say what is odd about it.

    Arguments
    ---------
    path, sample_rate, longest
        See ``read_audio``.

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
    with naming(path):
        samples, is_longer = _read(path, sample_rate, None, longest, 0, levels)
    remarks = levels.remarks()
    if is_longer:
        seconds = f"{longest / sample_rate:.4g} s"
        remarks.append(f"longer than {seconds}: the first {seconds} are used")
    return Clip(samples, remarks)


def _read(path, sample_rate, digest, longest, start, levels=None):
    """Return samples, and whether the file has more than the longest."""
    # Of a whole second, the resampler has the same phase as of the beginning
    skip = 0 if digest else max(0, start // sample_rate - MARGIN)
    end = math.inf if longest is None else start + longest
    seconds = end / sample_rate + MARGIN
    used = end / sample_rate
    until = seconds  # of the file
    if digest:
        until = HEAD + MARGIN if seconds <= HEAD else math.inf
    blocks, count, hasher, ended = [], None, None, False
    with contextlib.closing(decode(path, until, skip)) as decoded:
        for rate, block, _ in decoded:
            count = skip * rate if count is None else count
            hasher = hasher or _Hasher(rate)
            mean = to_mono(block)
            if digest:
                hasher.add(mean)
            if levels and count < used * rate:
                some = math.ceil(min(len(mean), used * rate - count))
                levels.add(block[:some], mean[:some])
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
    samples = _resampled(samples, rate, sample_rate)
    samples = samples[start - skip * sample_rate :]
    if not len(samples):
        raise AudioError(f"too short to hold a sample at {sample_rate} Hz")
    is_longer = longest is not None and len(samples) > longest
    return torch.from_numpy(samples[:longest]), is_longer


def _resampled(samples, rate, wanted):
    """Return samples at the wanted rate."""
    if rate == wanted:
        return samples
    return soxr.resample(samples, rate, wanted, quality="HQ")


class _Hasher:
    """The digest of a file's rate and samples, see ``AudioFacts``."""

    def __init__(self, rate):
        self.hash = hashlib.sha256(b"%d Hz:" % rate)
        self.left = HEAD * rate  # samples up to the end of the head
        self.head = ""

    def add(self, samples):
        """Add samples."""
        if not self.head and len(samples) > self.left:
            self.hash.update(samples[: self.left])
            self.head = self.hash.hexdigest()[:16]
            samples = samples[self.left :]
        self.left -= len(samples)
        self.hash.update(samples)

    def digest(self):
        """Return the digest of all samples."""
        whole = self.hash.hexdigest()
        return (self.head + whole)[:32]

    def fits(self, digest, ended):
        """Return whether a digest is that of the samples so far."""
        if ended:
            return digest == self.digest()
        return bool(self.head) and digest.startswith(self.head)


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
    >>> import tempfile, soundfile
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
            "Repair these files, or fetch them again from where the dataset "
            "came from, then run the same command again; or leave them out "
            "with --skip_bad_audio True."
        )
    return facts


def _facts_or_error(path):
    """Return a file's ``AudioFacts``, or the ``AudioError`` it raises."""
    levels, hasher, all_stated = Levels(), None, True
    try:
        with naming(path):
            for rate, block, stated in decode(path):
                all_stated &= stated
                mean = to_mono(block)
                hasher = hasher or _Hasher(rate)
                hasher.add(mean)
                levels.add(block, mean)
            count = levels.samples
            few = np.zeros(min(count, rate), "float32")
            if not len(_resampled(few, rate, RATE)):
                raise AudioError(f"too short to hold a sample at {RATE} Hz")
    except AudioError as error:
        return error
    remarks = levels.remarks() + [OPEN_END] * (not all_stated)
    return AudioFacts(count / rate, hasher.digest(), levels.peak, (*remarks,))
