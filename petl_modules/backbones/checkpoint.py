"""Find a checkpoint: a local folder, or a name on the Hugging Face hub."""

import difflib
import os
from pathlib import Path
from typing import NamedTuple

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from petl_modules.backbones.hub import CONFIG, SMALL, download
from petl_modules.utils import HparamsError


class Checkpoint(NamedTuple):
    """A checkpoint whose files are on this machine.

    Arguments
    ---------
    source : str
        The folder's absolute path, or ``owner/name@commit`` of the hub.
    folder : pathlib.Path
        Holds the files.
    unseen : bool
        Whether the hub, which cannot be reached, may have a preprocessor
        file that is not here.
    """

    source: str
    folder: Path
    unseen: bool = False


def find_checkpoint(source):
    """Return a checkpoint; one on the hub is downloaded unless it is cached.

    A name is a path if a folder of that name is there, if it begins with
    ``.``, ``/`` or ``~``, holds a backslash or more than one ``/``, or if its
    first part is a folder here. ``owner/name`` is otherwise a name on the hub,
    and ``owner/name@revision`` a branch, tag or commit of it.

    Arguments
    ---------
    source : str
        The name.

    Returns
    -------
    Checkpoint

    Raises
    ------
    HparamsError
        If there is no such folder, it lacks its configuration, or the hub
        has no such name.
    DownloadError
        If the hub cannot be reached, and the cache has no copy.
    """
    source = str(source)
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        folder = Path(path).resolve()
        if not (folder / CONFIG).is_file():
            raise HparamsError(f"backbone '{source}' has no {CONFIG}")
        return Checkpoint(str(folder), folder)
    if os.path.exists(path):
        raise HparamsError(f"backbone '{source}' is a file: name its folder")
    name, at, revision = source.partition("@")
    if is_path(name):
        raise HparamsError(
            f"backbone '{source}': there is no such folder"
            f"{_nearest(path)}. (A name on the Hugging Face hub is "
            "owner/name or owner/name@revision, and its owner must not be a "
            f"folder here.) {SMALL}"
        )
    if at and not revision:
        raise HparamsError(f"backbone '{source}' names no revision after '@'")
    commit, folder, unseen = download(name, revision or None)
    return Checkpoint(f"{name}@{commit}", folder, unseen)


def checkpoint_name(source):
    """Return a checkpoint's name without place and revision.

    Arguments
    ---------
    source : str
        See ``find_checkpoint``.

    Returns
    -------
    str

    Example
    -------
    >>> checkpoint_name("facebook/wav2vec2-base@refs/pr/3")
    'wav2vec2-base'
    >>> checkpoint_name("../checkpoints/ast/")
    'ast'
    """
    name, at, _ = source.partition("@")
    if at and not is_path(name):
        source = name
    return Path(os.path.expanduser(source)).resolve().name


def is_path(name):
    """Return whether a name that is no folder was meant as one.

    Arguments
    ---------
    name : str
        The name, without a revision.

    Returns
    -------
    bool

    Example
    -------
    >>> is_path("./results"), is_path("facebook/wav2vec2-base")
    (True, False)
    """
    try:
        validate_repo_id(name)
    except HFValidationError:
        return True
    owner, slash, _ = name.partition("/")
    return not slash or os.path.isdir(owner)  # all encoders there have one


def _nearest(path):
    """Return a "Did you mean" with the most similar folder beside a path."""
    parent = os.path.dirname(path)
    try:
        beside = [entry.name for entry in os.scandir(parent or ".")]
    except (OSError, ValueError):
        return ""
    close = difflib.get_close_matches(os.path.basename(path), beside, n=1)
    return f". Did you mean '{os.path.join(parent, close[0])}'" if close else ""
