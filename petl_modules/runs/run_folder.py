"""Run folder: one run, one configuration, one data set."""

import re

from petl_modules.models import is_old_recipe
from petl_modules.runs.command_line import ORIGIN
from petl_modules.runs.yaml_text import one_line_values, read_text
from petl_modules.utils import (
    HparamsError,
    UserError,
    lock_folder,
    other_kind,
    write_text,
)

# What a run writes, besides its recipe file
OUTPUTS = (
    *("data.json", "summary.json", "confusion.*"),
    *("fold*/hyperparams.yaml", "fold*/*.safetensors", "fold*/*.csv"),
)
# Files of a run's folder, and of its folds' folders
FILES = (
    *(".lock", ".write_test", "hyperparams.yaml", "log.txt", "data.json"),
    *("summary.json", "confusion.csv", "confusion.png"),
)
FOLD_FILES = (
    *("hyperparams.yaml", "train.py", "env.log", "log.txt", "train_log.txt"),
    *("train_clips.txt", "predictions.csv", "model.safetensors"),
    *("result.json", "checksums.json", "tracker.json"),
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
    "logger",
    "train_logger",
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
        _require_kinds(folder)
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


def _require_kinds(folder):
    """Refuse folders and pipes where a run writes its files.

    A pipe would be waited for, and a folder noticed when all is trained.
    """
    files = [folder / name for name in FILES]
    for fold in sorted(folder.glob("fold*")):
        if not re.fullmatch(r"fold\d+(-draw\d+)?", fold.name):
            continue
        if not fold.is_dir():
            raise HparamsError(
                f"{fold} is a file, where a fold's folder belongs: move it "
                "away, or name another --output_folder"
            )
        files += [fold / name for name in FOLD_FILES]
    for file in files:
        if kind := other_kind(file):
            raise HparamsError(
                f"{file} is {kind}, where a run writes a file: move it away, "
                "or name another --output_folder"
            )


def _refuse_strangers(file):
    """Refuse to write over files that no run has written.

    A run that ended before its first checkpoint has left its recipe file.
    """
    folder = file.parent
    found = [x for pattern in OUTPUTS for x in sorted(folder.glob(pattern))]
    if file.exists():
        if ORIGIN in file.read_bytes()[:1000].decode("utf-8", "replace"):
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
