"""Manifests: what a prepare script found, as one JSON file.

``{id: {wav, duration, label, fold, ...}}`` with ``{data_root}`` for the data
folder in ``wav``.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import json
from pathlib import Path

from petl_modules.utils import read_json, refusal, write_json

FORMAT = 1  # another number makes old manifests stale


def manifest_path(folder, name, facts, paths):
    """The file for a manifest, by all that it depends on.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where manifests go.
    name : str
        The dataset.
    facts : list
        Plain data that the manifest depends on: options, a list's content.
    paths : list of pathlib.Path
        The audio files. Their sizes and times count; absent ones are for
        ``check_audio`` to tell.

    Returns
    -------
    path : pathlib.Path
        ``<folder>/<name>-<hash>.json``. Where it exists, it still fits.
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


def write_manifest(path, records):
    """Writes a manifest in one step.

    Arguments
    ---------
    path : pathlib.Path
        As ``manifest_path`` gave it.
    records : dict
        Records by id.

    Raises
    ------
    PermissionError
        The folder cannot be written to.
    ValueError
        The file cannot be written for another reason.
    """
    try:
        write_json(path, records)
    except OSError as error:
        raise refusal(path, error, "choose another folder") from error


def read_manifest(path):
    """Reads a manifest.

    Arguments
    ---------
    path : str or pathlib.Path
        The JSON file.

    Returns
    -------
    records : dict
        Records by id.
    """
    return read_json(path)
