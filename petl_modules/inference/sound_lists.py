"""What users give as many sounds: lists, folders, patterns."""

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path

from petl_modules.data.prepare.folders import is_sound, walk
from petl_modules.inference.sounds import file_of, is_array, is_pair, title_of
from petl_modules.utils import AudioError

PATTERN = re.compile(r"[*?]|\[.+\]", re.DOTALL)


def named(given):
    """Return the sounds that something stands for, with names.

    Arguments
    ---------
    given : object
        See ``expand``.

    Returns
    -------
    list of tuple
        Name and sound. Of many, the name has the place in the list.

    Raises
    ------
    AudioError
        See ``expand``.

    Example
    -------
    >>> [name for name, _ in named(["dog.wav", ([0.1, 0.2], 16000)])]
    ['sound 1 of 2: dog.wav', 'sound 2 of 2']
    """
    if is_one(given):
        return [(title_of(given), given)]
    sounds = expand(given)
    found = []
    for number, sound in enumerate(sounds, 1):
        file = file_of(sound)
        name = f"sound {number} of {len(sounds)}"
        found.append((f"{name}: {file}" if file else name, sound))
    return found


def is_one(given):
    """Return whether something is one sound, not many.

    Example
    -------
    >>> is_one("dog.wav"), is_one(["dog.wav"]), is_one("sounds/*.wav")
    (True, False, False)
    """
    if isinstance(given, (str, os.PathLike)):
        return not _is_folder(given) and not _is_pattern(given)
    known = (bytes, bytearray, memoryview, Mapping)
    return (
        isinstance(given, known)
        or any(hasattr(given, name) for name in ("read", "get_all_samples"))
        or is_array(given)
        or is_pair(given)
        or not hasattr(given, "__iter__")
    )


def expand(given):
    """Return the sounds that something stands for.

    Arguments
    ---------
    given : object
        A sound, see ``source_of``; a folder, whose audio files are found at
        any depth by their suffix; a pattern of these, such as
        ``sounds/*.wav``; or an iterable of such things.

    Returns
    -------
    list

    Raises
    ------
    AudioError
        There are no audio files in a folder, or of a pattern.
    """
    if isinstance(given, (str, os.PathLike)):
        return _files(given)
    if is_one(given):
        return [given]
    sounds = []
    for item in given:
        is_path = isinstance(item, (str, os.PathLike))
        sounds += _files(item) if is_path else [item]
    return sounds


def expand_all(arguments):
    """Return the files that the words of a command line stand for.

    Arguments
    ---------
    arguments : list of str
        Files, folders, patterns.

    Returns
    -------
    files : list of str
    errors : list of AudioError
        Of folders and patterns without audio files.
    """
    files, errors = [], []
    for argument in arguments:
        try:
            files += expand(argument)
        except AudioError as error:
            errors.append(error)
    return files, errors


def _files(path):
    """Return the files of a path, a folder or a pattern, in order."""
    if _is_folder(path):
        found = _below(path)
    elif _is_pattern(path):
        found = []
        for fits in sorted(glob.glob(os.fspath(path), recursive=True)):
            found += _below(fits) if _is_folder(fits) else [fits]
        found = [*dict.fromkeys(filter(is_sound, found))]
    else:
        return [path]
    if not found:
        raise AudioError(f"{path}: no audio files are there")
    return found


def _below(folder):
    """Return the audio files of a folder, at any depth."""
    names = filter(is_sound, walk(Path(folder)))
    return [os.path.join(folder, name) for name in names]


def _is_folder(path):
    """Return whether there is a folder of this path."""
    try:
        return os.path.isdir(path)
    except ValueError:  # no file can have such a path
        return False


def _is_pattern(path):
    """Return whether a path that is no file has ``*``, ``?`` or ``[...]``."""
    text = os.fspath(path)
    try:
        there = os.path.lexists(text)
    except ValueError:
        return False
    return not there and bool(PATTERN.search(text))
