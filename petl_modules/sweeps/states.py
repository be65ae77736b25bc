"""States of cells, by their files alone.

A finished cell has the results of its folds, a failed one ``error.json``, and
of a running one a lock is held. All others wait.
"""

import os
import time
from pathlib import Path

from petl_modules.runs.fold_files import RESULT
from petl_modules.runs.fold_files import remedy as remedy_of
from petl_modules.runs.plan import find_results
from petl_modules.utils import UserError, holder, read_json, write_json

DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"
STATES = (DONE, RUNNING, FAILED, WAITING)
ERROR = "error.json"
OUTPUT = "output.txt"  # what the command has printed
CLAIM = ".cell.lock"  # held by the process that has started the command
ERROR_FORM = {"code": int, "time": str, "seconds": float, "lines": [str]}
SUMMARY_FORM = {"n_folds?": int, "folds": [{"fold": int}]}
RESULT_FORM = {"fold": {"seconds": float}}


def state_of(cell):
    """Return the state of a cell.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.

    Returns
    -------
    str
        One of ``STATES``.
    """
    if is_done(cell):
        return DONE
    if is_running(cell):
        return RUNNING
    return FAILED if (cell.place / ERROR).exists() else WAITING


def is_done(cell):
    """Return whether a cell has the results of all of its folds."""
    parts = cell.parts
    if cell.fold is None:
        summary = cell.place / "summary.json"
        if not summary.exists():
            return False
        try:
            about = read_json(summary, SUMMARY_FORM, "It is written anew")
        except UserError:  # the cell's command writes it again
            return False
        numbers = {fold["fold"] for fold in about["folds"]}
        if len(numbers) != about.get("n_folds"):
            return False
        parts = [p for n in numbers for p in cell._replace(fold=n).parts]
    # Thousands of cells are looked at: no objects of paths
    return all(os.path.exists(f"{cell.folder}/{p}/{RESULT}") for p in parts)


def is_running(cell):
    """Return whether a process is at a cell, other than the current one."""
    place = cell.place
    return place.is_dir() and bool(holder(place, CLAIM) or is_training(cell))


def is_training(cell):
    """Return whether a process trains a fold of a cell."""
    folder = Path(cell.folder)
    folds = [folder / name for name in cell.parts]
    return any(map(holder, folds or folder.glob("fold*/")))


def write_error(cell, code, lines, seconds=0.0):
    """Write why a cell has failed.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.
    code : int
        The exit code.
    lines : list of str
        The last lines of its output.
    seconds : float
        How long it has taken.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    about = {"code": code, "time": when, "seconds": round(seconds, 1)}
    cell.place.mkdir(parents=True, exist_ok=True)
    write_json(cell.place / ERROR, {**about, "lines": lines})


def read_error(cell):
    """Return what ``error.json`` says of a failed cell.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.

    Returns
    -------
    dict
        See ``ERROR_FORM``.

    Raises
    ------
    DataError
        It is damaged.
    """
    remedy = "Delete it: the cell then counts as waiting"
    return read_json(cell.place / ERROR, ERROR_FORM, remedy)


def seconds_of(cell):
    """Return the seconds that the folds of a finished cell have taken."""
    folder = Path(cell.folder)
    files = [folder / name / RESULT for name in cell.parts]
    return sum(
        read_json(file, RESULT_FORM, remedy_of(file.parent))["fold"]["seconds"]
        for file in files or find_results(folder)
    )
