"""Manifests: the clips of a dataset as one JSON file, ``{id: Record}``.

Clips that were left out are listed in a text file in the same folder.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import TypedDict

from petl_modules.utils import (
    damaged,
    parse_json,
    read_bytes,
    refusal,
    write_bytes,
    write_text,
)

FORMAT = 4  # raise it to ignore manifests of an older format
REMEDY = "Delete it: the same command makes it again"
NUMBER = range(1, 1 << 53)
FORM = {
    str: {
        "wav?": re.compile("{data_root}/.+"),
        "duration?": float,
        "digest?": re.compile("[0-9a-f]{32}"),
        "used_digest?": re.compile("[0-9a-f]{32}"),
        "label?": str,
        "fold?": NUMBER,
        "session?": NUMBER,
        "split?": re.compile("train|valid|test"),
        "speaker?": str,
        "group?": str,
        "recording?": str,
    }
}


class Record(TypedDict, total=False):
    """One clip in a manifest.

    A split reads ``fold``, ``split``, or a key of one dataset, such as
    ``session``. Prepare scripts may add other keys.
    """

    wav: str  # the audio file, ``{data_root}/...``
    duration: float  # in seconds
    digest: str  # of the samples, see ``petl_modules.data.AudioFacts``
    used_digest: str  # of the samples that are used, if these are not all
    label: str  # the class name
    fold: int  # of a cross-validation, from 1
    split: str  # of the dataset's own lists: train, valid or test
    speaker: str  # clips of one speaker or group stay together in
    group: str  # folds that are made by chance
    recording: str  # the recording that the clip was cut from


def manifest_path(folder, name, facts, paths):
    """Return the path of a manifest, with a hash of all that it depends on.

    This is the fast test for "the same data": name, size and time of each
    file. The thorough test is ``Record.digest``. The same data in another
    place, as on each machine of a cluster, have the same manifest.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of the manifests.
    name : str
        The dataset.
    facts : list
        Plain data that the manifest depends on: options, a list's content, the
        files' names in the data folder.
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
            states.append([state.st_size, state.st_mtime_ns])
        except OSError:
            states.append([])
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
        content = (json.dumps(records, indent=2) + "\n").encode()
        digest = hashlib.sha256(content).hexdigest()
        write_text(checksum_path(path), f"{digest}  {path.name}\n")
        write_bytes(path, content)
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

    Raises
    ------
    DataError
        The file is not as it was written.
    """
    content = read_bytes(path, REMEDY)
    known = checksum_path(path)
    if known.is_file():  # not of manifests of an earlier version
        digest = hashlib.sha256(content).hexdigest().encode()
        if known.read_bytes().split()[:1] != [digest]:
            raise damaged(path, f"it does not fit {known.name}", REMEDY)
    return parse_json(content, FORM, path, REMEDY)


def checksum_path(path):
    """Return the file with a manifest's checksum, which ``sha256sum`` reads."""
    return Path(path).with_suffix(".sha256")


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
    text = read_bytes(path, REMEDY).decode("utf-8", "replace")
    return sorted(line.split("\t")[0] for line in text.splitlines())


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
    return read_bytes(path, REMEDY).decode("utf-8", "replace").split("\n\n")
