"""Download checkpoints from the Hugging Face hub; log the few retries."""

import json
import logging
import re
import time
from functools import partial
from pathlib import Path

# The hub's own client, which transformers brings along
from huggingface_hub import (
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from petl_modules.utils import DownloadError, HparamsError, brief

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
    "The repository's pretrained/tiny-ast is a small one for trials, and "
    "of encoders of speech pretrained/small-wav2vec2"
)


def download(name, revision):
    """Download a checkpoint of the hub at one commit, as far as not cached.

    Arguments
    ---------
    name : str
        ``owner/name``.
    revision : str or None
        A branch, tag or commit. None: the newest.

    Returns
    -------
    commit : str
        The commit.
    folder : pathlib.Path
        Holds the files.
    unseen : bool
        See ``petl_modules.backbones.Checkpoint``.

    Raises
    ------
    HparamsError
        If the hub has no such name or revision, or no readable weights.
    DownloadError
        If the hub cannot be reached, and the cache has no copy.
    """
    commit, offline = find_commit(name, revision, "backbone", SMALL)
    source = f"{name}@{commit}"
    fetch = partial(fetch_file, name, commit=commit, offline=offline)
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
            f"backbone '{source}' could not be downloaded: {brief(error)}. "
            "Run the same command again to go on, or copy the folder here "
            "and pass its path"
        ) from error
    return commit, folder, unseen


def fetch_file(name, file, *, commit, offline=False):
    """Return the path of a cached file of the hub, which is fetched if need be.

    Arguments
    ---------
    name, file, commit : str
        ``owner/name``, the file in it, and a commit of it.
    offline : bool
        Whether the cache alone is asked.

    Returns
    -------
    str or None
        None: the hub has no such file.

    Raises
    ------
    LocalEntryNotFoundError
        The hub is not reached, so the file may be there; or see
        ``huggingface_hub.hf_hub_download``.
    """
    cached = try_to_load_from_cache(name, file, revision=commit)
    if cached is not None:  # a path, or a mark that there is none
        return cached if isinstance(cached, str) else None
    try:
        return hf_hub_download(
            name, file, revision=commit, local_files_only=offline
        )
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:
        return None


def _fetch_weights(fetch):
    """Fetch the weights, in one file or in shards; return whether they are."""
    for file in WEIGHTS:
        if fetch(file):
            return True
        if index := fetch(f"{file}.index.json"):
            shards = json.loads(Path(index).read_bytes())["weight_map"]
            return all([fetch(shard) for shard in sorted({*shards.values()})])
    return False


def find_commit(name, revision, what, hint=""):
    """Return the commit of a revision, and whether the hub is out of reach.

    Arguments
    ---------
    name, revision
        See ``download``.
    what : str
        What is looked for, for the messages.
    hint : str
        What else a user can do, for the messages.

    Returns
    -------
    commit : str
    offline : bool

    Raises
    ------
    HparamsError, DownloadError
        See ``download``.
    """
    wanted = f"{name}@{revision}" if revision else name
    cached = try_to_load_from_cache(name, CONFIG, revision=revision)
    is_cached = isinstance(cached, str)  # else None, or a mark of its absence
    if is_cached and re.fullmatch("[0-9a-f]{40}", revision or ""):
        return revision, False  # a commit never changes
    url = hf_hub_url(name, CONFIG, revision=revision)
    for wait in (*WAITS, None):
        try:
            if get_hf_file_metadata(url).commit_hash:
                # Notes the revision's commit in the cache, too
                file = hf_hub_download(name, CONFIG, revision=revision)
                return Path(file).parent.name, False
            reason = "the server that answers is not the hub"
        except UNKNOWN_TO_HUB as error:
            raise HparamsError(
                f"{what} '{wanted}' is neither a folder here nor found on "
                f"the Hugging Face hub: {brief(error)}. {hint}"
            ) from error
        except OfflineModeIsEnabled:
            reason = "HF_HUB_OFFLINE is set"
            break
        except Exception as error:  # of the network, or a busy server
            reason = brief(error)
        if wait:
            logger.warning(
                f"the Hugging Face hub cannot be reached for '{wanted}' "
                f"({reason}); trying again in {wait} s"
            )
            time.sleep(wait)
    if not is_cached:
        raise DownloadError(
            f"{what} '{wanted}': there is no such folder, and the Hugging "
            f"Face hub cannot be reached ({reason}). Connect, or copy its "
            f"folder here and pass its path. {hint}"
        )
    commit = Path(cached).parent.name
    logger.warning(
        f"the Hugging Face hub cannot be reached ({reason}): the cached "
        f"{name}@{commit} is used"
    )
    return commit, True
