"""Check the audio files of a whole dataset before training."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from petl_modules.data.decoding import decode, naming, to_mono
from petl_modules.data.digests import Hasher
from petl_modules.data.levels import OPEN_END, Levels
from petl_modules.data.resampling import resampled
from petl_modules.utils import AudioError, listed

RATE = 16_000  # Hz, of most features


class AudioFacts(NamedTuple):
    """What ``check_audio`` finds out about an audio file.

    The used part is the beginning that features are made of.
    """

    duration: float  # in seconds
    digest: str  # of all samples, see ``petl_modules.data.digests``
    used_digest: str = ""  # of those of the used part, if that is not all
    level: float = -120.0  # in dB, of the used part; see ``Levels``
    remarks: tuple = ()  # sentences: what is odd about it


class UsedPart(NamedTuple):
    """The part of a clip that features are made of.

    Arguments
    ---------
    sample_rate : int
        Rate of the features' samples in Hz.
    longest : int or None
        How many of these samples are used at most. None: all.

    Example
    -------
    >>> from petl_modules.data import Waveform
    >>> UsedPart.of(Waveform(seconds=5.0)).count(44100)
    220500
    """

    sample_rate: int = RATE
    longest: int | None = None

    @classmethod
    def of(cls, features):
        """Return the part that features use; None is a whole file at 16 kHz."""
        if features is None:
            return cls()
        longest = getattr(features, "longest", None)
        return cls(features.sample_rate, longest)

    def count(self, rate):
        """Return the number of samples, or infinity, at a file's own rate."""
        if self.longest is None:
            return math.inf
        return math.ceil(self.longest * rate / self.sample_rate)


def check_audio(
    paths, title="Checking audio", skip_bad_audio=False, features=None
):
    """Read every file completely and report all bad files in one error.

    Arguments
    ---------
    paths : iterable
        The files, as str or pathlib.Path.
    title : str
        The label of the progress bar.
    skip_bad_audio : bool
        Return the error of a bad file in the list instead of raising it.
    features : callable or None
        What will be made of the files, see ``load_features``: the part that
        they use is judged. None: the whole file.

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
    paths, used = list(paths), UsedPart.of(features)
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        facts = pool.map(partial(_facts_or_error, used=used), paths)
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


def _facts_or_error(path, used):
    """Return a file's ``AudioFacts``, or the ``AudioError`` it raises."""
    try:
        with naming(path):
            return _facts(path, used)
    except AudioError as error:
        return error


def _facts(path, used):
    """Return a file's ``AudioFacts``; it is decoded once, block by block."""
    levels, hasher, all_stated, count = Levels(), None, True, 0
    used_digest = ""
    for rate, block, stated in decode(path):
        all_stated &= stated
        mean = to_mono(block)
        hasher = hasher or Hasher(rate)
        some = int(max(0, min(len(mean), used.count(rate) - count)))
        if some:
            levels.add(rate, block[:some], mean[:some])
            hasher.add(mean[:some])
        if some < len(mean):
            used_digest = used_digest or hasher.digest()
            hasher.add(mean[some:])
        count += len(mean)
    few = np.zeros(min(count, rate), "float32")
    if not len(resampled(few, rate, used.sample_rate)):
        raise AudioError(f"too short to hold a sample at {used.sample_rate} Hz")
    return AudioFacts(
        count / rate,
        hasher.digest(),
        used_digest,
        levels.level(),
        (*levels.remarks(), *[OPEN_END] * (not all_stated)),
    )
