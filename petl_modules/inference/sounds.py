"""What users give as a sound: a file, bytes, an array, a dict."""

import io
import os
import time
from collections.abc import Mapping
from numbers import Number

import numpy as np
import torch

from petl_modules.data import read_clip
from petl_modules.data.audio import stream_audio
from petl_modules.data.decoding import naming
from petl_modules.data.sources import Samples, name_of
from petl_modules.utils import AudioError

FORMS = (
    "a path, bytes, a binary file object, (array, rate), a dict with array "
    "and sampling_rate or with path or bytes"
)


def read_sound(given, sample_rate, longest=None, name=None):
    """Read a sound as training reads its files.

    Arguments
    ---------
    given : object
        See ``source_of``.
    sample_rate, longest
        See ``petl_modules.data.read_audio``.
    name : str or None
        How errors name the sound. None: see ``title_of``.

    Returns
    -------
    petl_modules.data.audio.Clip

    Raises
    ------
    AudioError
        It cannot be used.
    """
    name = name or title_of(given)
    with naming(name):
        source = source_of(given)
    return read_clip(source, sample_rate, longest, name)


def read_used(given, features, windows, name=None):
    """Read as much of a sound as is used of a test clip.

    Arguments
    ---------
    given, name
        See ``read_sound``.
    features : callable
        See ``petl_modules.data.load_features``.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.

    Returns
    -------
    petl_modules.data.audio.Clip

    Raises
    ------
    AudioError
        It cannot be used.
    """
    longest = getattr(features, "longest", None)
    if windows.test != 1:  # windows of the whole clip
        longest = None
    return read_sound(given, features.sample_rate, longest, name)


def read_bounded(given, sample_rate, seconds, limit):
    """Read a sound of strangers, in bounded memory and time.

    A few bytes may hold hours of many channels.

    Arguments
    ---------
    given, sample_rate
        See ``read_sound``.
    seconds : float
        Of a longer sound a little more than this is returned.
    limit : float
        Seconds that reading may take.

    Returns
    -------
    numpy.ndarray
        Float32 of shape [samples].

    Raises
    ------
    AudioError
        It cannot be used, or takes longer to read.
    """
    blocks, count, end = [], 0, time.monotonic() + limit
    name = title_of(given)
    with naming(name):
        for block in stream_audio(source_of(given), sample_rate):
            blocks.append(block)
            count += len(block)
            if count > seconds * sample_rate:
                break
            if time.monotonic() > end:
                raise AudioError(f"it takes more than {limit} s to read")
        if not count:
            raise AudioError(f"too short to hold a sample at {sample_rate} Hz")
    return np.concatenate(blocks)


def title_of(given):
    """Return how a message names one sound.

    Example
    -------
    >>> title_of("dog.wav"), title_of(([0.1, 0.2], 16000))
    ('dog.wav', 'the sound')
    """
    return file_of(given) or "the sound"


def file_of(given):
    """Return the name of the file that a sound is in, or None."""
    if isinstance(given, Mapping):
        given = given.get("path")
    if hasattr(given, "read"):
        return name_of(given)
    return str(given) if isinstance(given, (str, os.PathLike)) else None


def source_of(given):
    """Return what a sound is read from.

    Arguments
    ---------
    given : object
        A path; the bytes of an audio file; a binary file object, which is
        read from its beginning; ``(array, rate)`` with floats in -1 .. 1,
        ``[time]`` or ``[channels, time]``; what the library ``datasets`` makes
        of a sound: ``{"array": ..., "sampling_rate": ...}``, ``{"path": ...,
        "bytes": ...}`` or a decoder.

    Returns
    -------
    str, pathlib.Path, binary file object or Samples

    Raises
    ------
    AudioError
        It is no sound.

    Example
    -------
    >>> print(source_of({"array": [0.1, -0.1], "sampling_rate": 16000}))
    samples of shape (2,) at 16000 Hz
    """
    if isinstance(given, (str, os.PathLike)) or hasattr(given, "read"):
        return given
    if isinstance(given, (bytes, bytearray, memoryview)):
        return io.BytesIO(given)
    if hasattr(given, "get_all_samples"):  # of torchcodec
        samples = given.get_all_samples()
        return Samples(samples.data, samples.sample_rate)
    if isinstance(given, Mapping):
        return _source_of_dict(given)
    if is_pair(given):
        return Samples(*given)
    if is_array(given):
        return Samples(given, None)  # says what is missing
    if isinstance(given, tuple) and len(given) == 2 and is_array(given[1]):
        raise AudioError("the rate comes second: give (array, rate)")
    raise AudioError(f"a {type(given).__name__} is no sound: give {FORMS}")


def _source_of_dict(given):
    """Return what a sound in the form of ``datasets`` is read from."""
    if given.get("array") is not None:
        return Samples(given["array"], given.get("sampling_rate"))
    for key in ("bytes", "path"):
        if given.get(key) is not None:
            return source_of(given[key])
    raise AudioError(
        f"a dict with the keys {', '.join(map(str, given))}: give array and "
        "sampling_rate, or path or bytes"
    )


def is_array(given):
    """Return whether something is an array or a tensor."""
    return isinstance(given, (np.ndarray, torch.Tensor))


def is_pair(given):
    """Return whether something is ``(array, rate)``."""
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    array, rate = given
    is_rate = rate is None or isinstance(rate, Number)
    return is_rate and (is_array(array) or isinstance(array, list))
