"""Find a checkpoint: a local folder, or a name on the Hugging Face hub."""

import difflib
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

# The hub's own client, which transformers brings along
from huggingface_hub import (
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from petl_modules.utils import DownloadError, HparamsError

logger = logging.getLogger(__name__)

CONFIG = "config.json"
# What says how sounds become inputs; the first holds the second, if it does
PREPROCESSORS = ("processor_config.json", "preprocessor_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # or an index of shards
WAITS = (1, 2)  # seconds between tries to reach the hub
UNKNOWN_TO_HUB = (
    EntryNotFoundError,
    RepositoryNotFoundError,  # or gated, or private
    RevisionNotFoundError,
)
SMALL = (
    "The repository's pretrained/tiny-ast is a small one for trials, and so "
    "is pretrained/tiny-wav2vec2"
)


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
    if _is_path(name):
        raise HparamsError(
            f"backbone '{source}': there is no such folder"
            f"{_nearest(path)}. (A name on the Hugging Face hub is "
            "owner/name or owner/name@revision, and its owner must not be a "
            f"folder here.) {SMALL}"
        )
    if at and not revision:
        raise HparamsError(f"backbone '{source}' names no revision after '@'")
    return _from_hub(name, revision or None)


def _is_path(name):
    """Return whether a name that is no folder was meant as one."""
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


def _from_hub(name, revision):
    """Return a checkpoint of the hub at one commit, all files in the cache."""
    commit, offline = _find_commit(name, revision)
    source = f"{name}@{commit}"

    def fetch(file):
        """Return the cached file. None: the hub has none."""
        cached = try_to_load_from_cache(name, file, revision=commit)
        if cached is not None:  # a path, or a mark that there is none
            return cached if isinstance(cached, str) else None
        try:
            return hf_hub_download(
                name, file, revision=commit, local_files_only=offline
            )
        except LocalEntryNotFoundError:  # not reached; it may be there
            raise
        except EntryNotFoundError:
            return None

    unseen = False
    try:
        folder = Path(fetch(CONFIG)).parent
        if not _fetch_weights(fetch):
            raise HparamsError(
                f"backbone '{source}' has no weights of a known format: "
                f"{' or '.join(WEIGHTS)}"
            )
        for file in PREPROCESSORS:
            try:
                fetch(file)
            except LocalEntryNotFoundError:
                unseen = True
    except HparamsError:
        raise
    except Exception as error:  # the client's and the network's own
        raise DownloadError(
            f"backbone '{source}' could not be downloaded: {_line(error)}. "
            "Run the same command again to go on, or copy the folder here "
            "and pass its path"
        ) from error
    return Checkpoint(source, folder, unseen)


def _fetch_weights(fetch):
    """Fetch the weights, in one file or in shards; return whether they are."""
    for file in WEIGHTS:
        if fetch(file):
            return True
        if index := fetch(f"{file}.index.json"):
            shards = json.loads(Path(index).read_bytes())["weight_map"]
            return all([fetch(shard) for shard in sorted({*shards.values()})])
    return False


def _find_commit(name, revision):
    """Return the commit of a revision, and whether the hub is out of reach."""
    wanted = f"{name}@{revision}" if revision else name
    cached = try_to_load_from_cache(name, CONFIG, revision=revision)
    if cached and re.fullmatch("[0-9a-f]{40}", revision or ""):
        return revision, False  # a commit never changes
    url = hf_hub_url(name, CONFIG, revision=revision)
    for wait in (*WAITS, None):
        try:
            if get_hf_file_metadata(url).commit_hash:
                # Notes the revision's commit in the cache, too
                file = hf_hub_download(name, CONFIG, revision=revision)
                return Path(file).parent.name, False
            reason = "what answers there is no hub"
        except UNKNOWN_TO_HUB as error:
            raise HparamsError(
                f"backbone '{wanted}' is neither a folder here nor found on "
                f"the Hugging Face hub: {_line(error)}. {SMALL}"
            ) from error
        except OfflineModeIsEnabled:
            reason = "HF_HUB_OFFLINE is set"
            break
        except Exception as error:  # of the network, or a busy server
            reason = _line(error)
        if wait:
            logger.warning(
                f"the Hugging Face hub cannot be reached for '{wanted}' "
                f"({reason}); trying again in {wait} s"
            )
            time.sleep(wait)
    if not isinstance(cached, str):
        raise DownloadError(
            f"backbone '{wanted}': there is no such folder, and the Hugging "
            f"Face hub cannot be reached ({reason}). Connect, or copy the "
            f"checkpoint's folder here and pass its path. {SMALL}"
        )
    commit = Path(cached).parent.name
    logger.warning(
        f"the Hugging Face hub cannot be reached ({reason}): the cached "
        f"{name}@{commit} is used"
    )
    return commit, True


def _line(error):
    """Return an error's text as one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
