"""Files of a run's folder: whose they are, and what is left of killed runs."""

import re

from petl_modules.runs.command_line import ORIGIN
from petl_modules.runs.plan import FOLD
from petl_modules.utils import HparamsError, other_kind

# What a run writes, besides its recipe file
OUTPUTS = (
    *("data.json", "summary.json", "confusion.*"),
    *("fold*/hyperparams.yaml", "fold*/*.safetensors", "fold*/*.csv"),
)
# Files of a run's folder that a process writes while it has locked the folder
LOCKED = (
    *("hyperparams.yaml", "data.json", "summary.json"),
    *("confusion.csv", "confusion.png", "trials.png"),
)
# Files of a run's folder, and of its folds' folders
FILES = (".lock", ".write_test", "log.txt", *LOCKED)
FOLD_FILES = (
    *(".lock", "hyperparams.yaml", "train.py", "env.log", "log.txt"),
    *("train_log.txt", "train_clips.txt", "predictions.csv"),
    *("model.safetensors", "result.json", "checksums.json", "tracker.json"),
)


def is_begun(folder):
    """Return whether a run's folder has a checkpoint or a result."""
    work = ("fold*/save/CKPT+*", "fold*/result.json")
    return any(any(folder.glob(pattern)) for pattern in work)


def require_kinds(folder):
    """Refuse folders and pipes where a run writes its files.

    A pipe would be waited for, and a folder noticed when all is trained.
    """
    files = [folder / name for name in FILES]
    for fold in fold_folders(folder):
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


def fold_folders(folder):
    """Return the folders of a run's folds, sorted."""
    found = sorted(folder.glob("fold*"))
    return [fold for fold in found if FOLD.fullmatch(fold.name)]


def refuse_strangers(file):
    """Refuse to write over files that no run has written.

    A run that ended before its first checkpoint has left its recipe file.

    Arguments
    ---------
    file : pathlib.Path
        The recipe file in the run's folder.
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


def remove_leftovers(folder, names=None):
    """Remove files that a killed process was writing, see ``write_bytes``.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which this process has locked: no other one writes them.
    names : tuple of str or None
        What these files were to be. None: anything.
    """
    for file in folder.glob(".*.tmp"):
        found = re.fullmatch(r"\.(.+)\.\d+\.tmp", file.name)
        if found and (names is None or found[1] in names):
            file.unlink(missing_ok=True)
