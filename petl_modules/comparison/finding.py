"""Find the runs in and below some folders."""

import os
from pathlib import Path

from petl_modules.runs.fold_files import RESULT
from petl_modules.runs.plan import FOLD
from petl_modules.utils import UserError

RECIPE = "hyperparams.yaml"


def find_runs(places):
    """Return the folders of all runs below some folders.

    Arguments
    ---------
    places : list of str or pathlib.Path
        Folders of runs, or above them.

    Returns
    -------
    list of pathlib.Path
        Sorted, each once.

    Raises
    ------
    UserError
        There is none below one of them.
    """
    found = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise UserError(
                f"{place} is no folder: name folders of runs, or above them"
            )
        if FOLD.fullmatch(place.name) and (place / RESULT).is_file():
            raise UserError(
                f"{place} is one fold of a run: name {place.parent}"
            )
        below = _below(place)
        if not below:
            raise UserError(
                f"{place} holds no run of a recipe: expected {RECIPE} and "
                f"fold1/{RESULT}, ... in it, or in folders below"
            )
        found |= {folder.resolve(): folder for folder in below}
    return sorted(found.values())


def _below(place):
    """Return the folders of the runs in and below a folder."""
    found = []
    for folder, folders, files in os.walk(place):
        if RECIPE in files:
            found.append(Path(folder))
            folders.clear()  # checkpoints
    return found
