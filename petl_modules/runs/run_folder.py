"""Run folder: one run, one configuration, one data set."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

from speechbrain import create_experiment_directory
from speechbrain.utils.distributed import if_main_process

from petl_modules.models import is_old_recipe
from petl_modules.runs.command_line import HEAD
from petl_modules.runs.yaml_text import one_line_values, read_text
from petl_modules.utils import (
    HparamsError,
    UserError,
    lock_folder,
    read_json,
    write_json,
    write_text,
)

DATA_FORM = {
    "clips": range(1 << 53),
    "data": re.compile("[0-9a-f]{64}"),
    "processes": range(1, 1 << 53),
}

# What a run writes, besides its recipe file
OUTPUTS = (
    *("data.json", "summary.json", "confusion.*"),
    *("fold*/hyperparams.yaml", "fold*/*.safetensors", "fold*/*.csv"),
)

# Keys that may differ when a run in a folder is resumed
FREE_KEYS = {
    "data_folder",  # data.json has a hash of the data
    "folds",
    "few_shot_draws",
    "download",
    "num_workers",
    "pin_memory",
    "recompute",  # the gradients are the same
    "test_batch_size",  # so are the logits, but for rounding
    "feature_cache",  # so are the features
    "output_folder",
    "manifest_folder",
}


def claim_folder(file, text):
    """Make a run's folder, or check that it holds the same run.

    A folder belongs to a run as soon as it has a checkpoint or a result.

    Arguments
    ---------
    file : pathlib.Path
        The merged recipe file in the folder, which is written.
    text : str
        Content of the recipe file.

    Raises
    ------
    HparamsError
        If the folder cannot be written to, holds files that are not a run's,
        or a run with other settings; names the settings that differ.
    """
    folder = file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".write_test").touch()
        (folder / ".write_test").unlink()
    except OSError as error:
        raise HparamsError(
            f"output_folder {folder} cannot be written to "
            f"({error.strerror}): name another with --output_folder"
        ) from error
    lock_folder(folder)
    if not is_begun(folder):
        _refuse_strangers(file)
        _remove_leftovers(folder)
        write_text(file, text)
        return
    _remove_leftovers(folder)
    try:
        saved = read_text(file)
        theirs = one_line_values(saved, file)
    except (OSError, UserError) as error:
        raise HparamsError(
            f"{folder} holds a run whose settings cannot be read: name "
            f"another --output_folder, or move that one away ({error})"
        ) from error
    if is_old_recipe(saved):
        raise HparamsError(
            f"{folder} holds a run that an earlier version of this project "
            "began, and its checkpoints do not fit the training of this one. "
            "Finish it with that version, or name another --output_folder. "
            "petl_modules.predict reads its finished folds"
        )
    ours = one_line_values(text)
    lines = [
        f"  {key}: {theirs.get(key, 'absent')} there, "
        f"{ours.get(key, 'absent')} now"
        for key in {**theirs, **ours}
        if key not in FREE_KEYS and not _same(theirs.get(key), ours.get(key))
    ]
    if lines:
        raise HparamsError(
            f"{folder} holds a run with other settings:\n"
            + "\n".join(lines)
            + "\nName another --output_folder, or move that one away"
        )


def claim_data(folder, records, processes):
    """Write a run's data hash and processes, or check that they are the same.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    records : dict
        The manifest.
    processes : int
        Number of processes that train together.

    Raises
    ------
    HparamsError
        If the folder holds a run on other data, or with another number of
        processes, which changes the size of a step's batch.
    """
    content = json.dumps(records, sort_keys=True).encode()
    ours = {
        "clips": len(records),
        "data": hashlib.sha256(content).hexdigest(),
        "processes": processes,
    }
    file = folder / "data.json"
    if is_begun(folder) and file.is_file():
        remedy = "Delete it: the same command makes it again"
        theirs = read_json(file, DATA_FORM, remedy)
        lines = [
            f"  {key}: {theirs[key]} there, {ours[key]} now"
            for key in ours
            if theirs[key] != ours[key]
        ]
        if lines:
            raise HparamsError(
                f"{folder} holds a run on other data or processes:\n"
                + "\n".join(lines)
                + "\nName another --output_folder, or move that one away"
            )
    else:
        write_json(file, ours)


def _refuse_strangers(file):
    """Refuse to write over files that no run has written.

    A run that ended before its first checkpoint has left its recipe file.
    """
    folder = file.parent
    found = [x for pattern in OUTPUTS for x in sorted(folder.glob(pattern))]
    if file.exists():
        if HEAD in file.read_bytes()[:1000].decode("utf-8", "replace"):
            return
        found = [file, *found]
    if found:
        raise HparamsError(
            f"{found[0]} is there, and no run has written it: a run would "
            "write over it. Name another --output_folder, or move it away"
        )


def _remove_leftovers(folder):
    """Remove files that a killed run was writing, see ``write_bytes``."""
    for file in [*folder.glob(".*.tmp"), *folder.glob("fold*/.*.tmp")]:
        if re.fullmatch(r"\..+\.\d+\.tmp", file.name):
            file.unlink(missing_ok=True)


def is_begun(folder):
    """Return whether a run's folder has a checkpoint or a result."""
    work = ("fold*/save/CKPT+*", "fold*/result.json")
    return any(any(folder.glob(pattern)) for pattern in work)


def _same(one, other):
    """Return whether two values are the same text, or the same number."""
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return one == other


def save_setup(folder, file, overrides, script):
    """Save recipe file, script and environment in a fold's folder.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    file : pathlib.Path
        The recipe file.
    overrides : dict
        Values that replace keys of the recipe file.
    script : str
        The recipe's ``train.py``.
    """
    with _own_pip_first():
        # No log_config: logging stays as log_to has set it up
        create_experiment_directory(folder, file, overrides, log_config="")
    if if_main_process():
        # SpeechBrain saves the calling script, which is this file
        (folder / Path(__file__).name).unlink(missing_ok=True)
        shutil.copy(script, folder)


@contextlib.contextmanager
def _own_pip_first():
    """Put this interpreter's folder first in ``PATH``.

    SpeechBrain logs the packages that the first ``pip`` in ``PATH`` lists.
    """
    before = os.environ.get("PATH", "")
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
