"""Manifests: the clips of a dataset as one JSON file, ``{id: Record}``.

Clips that were left out are listed in a text file in the same folder.
"""

import hashlib
import json
from pathlib import Path
from typing import TypedDict

from petl_modules.utils import read_json, refusal, write_json, write_text

FORMAT = 3  # raise it to ignore manifests of an older format


class Record(TypedDict, total=False):
    """One clip in a manifest.

    A split reads ``fold``, ``split``, or a key of one dataset, such as
    ``session``. Prepare scripts may add other keys.
    """

    wav: str  # the audio file, ``{data_root}/...``
    duration: float  # in seconds
    digest: str  # of the samples, see ``petl_modules.data.AudioFacts``
    label: str  # the class name
    fold: int  # of a cross-validation, from 1
    split: str  # of the dataset's own lists: train, valid or test
    speaker: str
    recording: str  # the recording that the clip was cut from


def manifest_path(folder, name, facts, paths):
    """Return the path of a manifest, with a hash of all that it depends on.

    This is the fast test for "the same data": path, size and time of each
    file. The thorough test is ``Record.digest``.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of the manifests.
    name : str
        The dataset.
    facts : list
        Plain data that the manifest depends on: options, a list's content.
    paths : list of pathlib.Path
        The audio files. ``check_audio`` reports missing files.

    Returns
    -------
    path : pathlib.Path
        ``<folder>/<name>-<hash>.json``. An existing file is up to date.
    """
    states = []
    for path in paths:
        try:
            state = path.stat()
            states.append([str(path), state.st_size, state.st_mtime_ns])
        except OSError:
            states.append([str(path)])
    text = json.dumps([FORMAT, facts, states])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Path(folder) / f"{name}-{key}.json"


def write_manifest(path, records, skipped=None, remarks=None):
    """Write a manifest atomically.

    Arguments
    ---------
    path : pathlib.Path
        The result of ``manifest_path``.
    records : dict
        A ``Record`` by id.
    skipped : dict or None
        Problems of the clips that are left out, by id. These clips are listed
        in ``<stem>.bad_audio.txt`` next to the manifest.
    remarks : list of str or None
        See ``read_remarks``.

    Raises
    ------
    PermissionError
        The folder cannot be written to.
    DataError
        The file cannot be written for another reason.
    """
    try:
        if skipped:  # first: an existing manifest counts as complete
            lines = [f"{clip}\t{why}\n" for clip, why in skipped.items()]
            write_text(bad_audio_path(path), "".join(lines))
        if remarks:
            write_text(_remarks_path(path), "\n\n".join(remarks))
        write_json(path, records)
    except OSError as error:
        raise refusal(path, error, "choose another folder") from error


def read_manifest(path):
    """Read a manifest.

    Arguments
    ---------
    path : str or pathlib.Path
        The JSON file.

    Returns
    -------
    records : dict
        A ``Record`` by id.
    """
    return read_json(path)


def bad_audio_path(path):
    """Return the file that lists the clips left out of a manifest."""
    path = Path(path)
    return path.with_name(f"{path.stem}.bad_audio.txt")


def read_skipped(path):
    """Return the ids of the clips that were left out of a manifest.

    Arguments
    ---------
    path : str or pathlib.Path
        The manifest.

    Returns
    -------
    clips : list of str
        The ids, sorted.

    Example
    -------
    >>> import tempfile
    >>> manifest = Path(tempfile.mkdtemp()) / "manifest.json"
    >>> write_manifest(manifest, {}, {"dog-1": "dog-1.wav: empty file"})
    >>> read_skipped(manifest)
    ['dog-1']
    """
    path = bad_audio_path(path)
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted(line.split("\t")[0] for line in lines)


def _remarks_path(path):
    """Return the file of remarks about the clips of a manifest."""
    path = Path(path)
    return path.with_name(f"{path.stem}.remarks.txt")


def read_remarks(path):
    """Return what is odd about a manifest's clips.

    Arguments
    ---------
    path : str or pathlib.Path
        The manifest.

    Returns
    -------
    remarks : list of str
        Texts of one or more lines.

    Example
    -------
    >>> import tempfile
    >>> manifest = Path(tempfile.mkdtemp()) / "manifest.json"
    >>> write_manifest(manifest, {}, remarks=["1 of 9 clips: silence:\\n  a"])
    >>> read_remarks(manifest)
    ['1 of 9 clips: silence:\\n  a']
    """
    path = _remarks_path(path)
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8").split("\n\n")
