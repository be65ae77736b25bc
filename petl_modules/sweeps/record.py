"""Which cells a sweep has, kept beside its results.

Composing the recipe files of a hundred methods takes a minute, and the state of
a sweep should take a second. The record is made anew whenever it is not there,
or when the sweep file or a recipe's file has changed.
"""

import hashlib
import json
from pathlib import Path

from petl_modules import __version__
from petl_modules.sweeps.cell import Cell
from petl_modules.sweeps.planning import plan_cells
from petl_modules.sweeps.recipes import find_recipe
from petl_modules.utils import UserError, read_json, write_text

NO_COMMAND = {"script": "", "file": "", "options": {}, "directory": ""}
FORM = {
    "digest": str,
    "runs": [
        {
            "dataset": str,
            "backbone": str,
            "method": str,
            "folder": str,
            "folds": [(int, None)],
            "draws": int,
        }
    ],
}


def record_of(sweep):
    """Return the file of a sweep's record."""
    return Path(sweep.output_folder, f".{sweep.file.stem}.plan.json")


def write_record(sweep, cells):
    """Write which cells a sweep has.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    cells : list of petl_modules.sweeps.Cell
        All of its cells.
    """
    runs = {}
    for cell in cells:
        run = runs.setdefault(
            cell.folder,
            {
                "dataset": cell.dataset,
                "backbone": cell.backbone,
                "method": cell.method,
                "folder": cell.folder,
                "folds": [],
                "draws": cell.draws,
            },
        )
        run["folds"].append(cell.fold)
    content = {"digest": _digest(sweep), "runs": [*runs.values()]}
    write_text(record_of(sweep), json.dumps(content) + "\n")


def known_cells(sweep):
    """Return the cells of a sweep, to be looked at and not to be run.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    list of petl_modules.sweeps.Cell
        Those of the record are without commands.

    Raises
    ------
    HparamsError
        See ``plan_cells``.
    """
    cells = recorded_cells(sweep)
    if cells is None:
        cells = plan_cells(sweep)
        if record_of(sweep).parent.is_dir():
            write_record(sweep, cells)
    return cells


def recorded_cells(sweep):
    """Return the cells of a sweep's record, without commands.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    list of petl_modules.sweeps.Cell or None
        None: there is no record, or the sweep is not what it was.
    """
    try:
        found = read_json(record_of(sweep), FORM, "It is made anew")
        same = found["digest"] == _digest(sweep)
    except (UserError, OSError):
        return None
    return [*_cells(found["runs"])] if same else None


def _cells(runs):
    """Yield the cells of a record."""
    for run in runs:
        whole = Cell(
            dataset=run["dataset"],
            backbone=run["backbone"],
            method=run["method"],
            folder=run["folder"],
            draws=run["draws"],
            **NO_COMMAND,
        )
        for fold in run["folds"]:
            yield whole._replace(fold=fold)


def _digest(sweep):
    """Return a hash of all that a sweep's cells follow from."""
    digest = hashlib.sha256(f"{__version__}{sweep}".encode())
    for dataset in sweep.grid["dataset"]:
        folder = find_recipe(dataset, sweep.file.parent)
        for file in sorted(folder.glob("hparams/*.yaml")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
