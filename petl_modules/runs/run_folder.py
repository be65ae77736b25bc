"""Run folder: one configuration, one data set.

Processes with the same settings and data may train in one folder, each other
folds (see ``claim_folds``). Settings, data and summary are read and written
under a lock of the folder, which is held for a moment.
"""

from petl_modules.models import is_old_recipe
from petl_modules.runs.folder_files import (
    LOCKED,
    fold_folders,
    is_begun,
    refuse_strangers,
    remove_leftovers,
    require_kinds,
)
from petl_modules.runs.yaml_text import one_line_values, read_text
from petl_modules.utils import (
    HparamsError,
    UserError,
    alone_in,
    holder,
    write_text,
)

# Keys that may differ when a run in a folder is resumed, or trains other folds
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
    "hidden_cache",  # so are hidden states, but for rounding
    "cache_bytes",
    "output_folder",
    "manifest_folder",
    "logger",
    "train_logger",
}
SWEEP = (
    "A sweep gives each value of a key in its 'grid' a folder of its own: "
    "python -m petl_modules.sweep, see docs/sweeps.md"
)


def claim_folder(file, text):
    """Make a run's folder, or check that it holds the same run.

    A folder belongs to a run as soon as it has a checkpoint or a result, or a
    process has claimed a fold.

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
        require_kinds(folder)
        (folder / ".write_test").touch()
        (folder / ".write_test").unlink(missing_ok=True)
    except OSError as error:
        raise HparamsError(
            f"output_folder {folder} cannot be written to "
            f"({error.strerror}): name another with --output_folder"
        ) from error
    with alone_in(folder):
        claim_settings(file, text)


def fold_holders(folder):
    """Return the other processes that train folds, by the fold's name."""
    found = {fold.name: holder(fold) for fold in fold_folders(folder)}
    return {name: process for name, process in found.items() if process}


def is_in_use(folder):
    """Return whether a run's folder has work in it, finished or going on."""
    return is_begun(folder) or bool(fold_holders(folder))


def elsewhere(folder):
    """Return what to do if a folder holds another run."""
    if others := fold_holders(folder):
        trained = ", ".join(f"{k} by {v}" for k, v in others.items())
        return f"Name another --output_folder: there is trained {trained}"
    return "Name another --output_folder, or move that one away"


def claim_settings(file, text):
    """Write the recipe file, or check that it has the same settings.

    This process has locked the folder; see ``claim_folder``.
    """
    folder = file.parent
    if not is_in_use(folder):
        refuse_strangers(file)
        remove_leftovers(folder, LOCKED)
        write_text(file, text)
        return
    remove_leftovers(folder, LOCKED)
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
            + f"\n{elsewhere(folder)}. {SWEEP}"
        )


def _same(one, other):
    """Return whether two values are the same text, or the same number."""
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return one == other
