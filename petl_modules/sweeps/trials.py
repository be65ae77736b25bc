"""Trials of a search: values of its keys, and what they reach in validation.

Which trials were asked for stands in a file; what has become of them is read
from the results of their cells alone. The test part is never looked at.
"""

import math
import re
import statistics
from pathlib import Path
from typing import NamedTuple

from petl_modules.runs.fold_files import RESULT, remedy, require_unchanged
from petl_modules.runs.plan import find_results
from petl_modules.sweeps.points import points_of
from petl_modules.sweeps.states import DONE, FAILED, WAITING, state_of
from petl_modules.utils import HparamsError, read_json, write_json

NUMBER = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?")


class Trial(NamedTuple):
    """Values of the searched keys, for one combination of the grid's others.

    Arguments
    ---------
    combination : dict
        Texts of the grid's keys, without the seed.
    texts : dict
        Texts of the searched keys.
    cells : list of petl_modules.sweeps.Cell
        All seeds and folds.
    state : str
        ``done``: all cells are. ``failed``: all have ended. Else ``waiting``.
    scores : list of float
        The validation metric of each fold, seed and few-shot draw, of a
        trial that is done.
    """

    combination: dict
    texts: dict
    cells: list
    state: str
    scores: list

    @property
    def values(self):
        """The searched values, as numbers."""
        return {key: float(text) for key, text in self.texts.items()}

    @property
    def mean(self):
        """The mean of the scores; NaN: it has failed; None: not ended."""
        if self.state == WAITING:
            return None
        return statistics.fmean(self.scores) if self.scores else math.nan


def folder_of(sweep):
    """Return the folder of what a search writes beside the results."""
    return Path(sweep.output_folder, f"{sweep.file.stem}-search")


def with_trials(sweep):
    """Return a sweep with the trials that were asked for.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    petl_modules.sweeps.sweep_file.Sweep
        Trials of other keys than the sweep's are left out.

    Raises
    ------
    DataError
        The file is damaged.
    """
    file = _file(sweep)
    if not sweep.search or not file.exists():
        return sweep
    keys = (sweep.grid.keys() | sweep.search.keys()) - {"seed"}
    return sweep._replace(
        trials=tuple(one for one in _read(sweep) if one.keys() == keys)
    )


def write_trials(sweep, new):
    """Add trials to those that were asked for.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    new : list of dict
        Points of the grid with values of the searched keys, without a seed.
    """
    file = _file(sweep)
    before = _read(sweep) if file.exists() else []
    write_json(file, {"trials": [*before, *new]})


def _read(sweep):
    """Return all trials that were asked for."""
    searched = {f"{key}?": NUMBER for key in sweep.search}
    form = {"dataset": str, "method": str, **searched, str: str}
    remedy = "Delete it: the same trials are asked for again, and found done"
    return read_json(_file(sweep), {"trials": [form]}, remedy)["trials"]


def _file(sweep):
    return folder_of(sweep) / "trials.json"


def trials_of(sweep, cells):
    """Return the trials of a sweep, with what they have reached.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep, with its trials.
    cells : list of petl_modules.sweeps.Cell
        All of its cells.

    Returns
    -------
    list of Trial
        Those of a combination are in the order in which they were asked for.

    Raises
    ------
    HparamsError
        A result has no validation.
    DataError
        A result is damaged.
    """
    runs, found = {}, {}
    for cell in cells:
        runs.setdefault(cell.folder, []).append(cell)
    for point, own in zip(points_of(sweep), runs.values(), strict=True):
        key = tuple(item for item in point.items() if item[0] != "seed")
        found.setdefault(key, []).extend(own)
    return [_trial(sweep, dict(key), own) for key, own in found.items()]


def _trial(sweep, point, cells):
    """Return a trial with its state and scores."""
    states = {state_of(cell) for cell in cells}
    state = WAITING
    if states <= {DONE, FAILED}:
        state = FAILED if FAILED in states else DONE
    texts = {key: point.pop(key) for key in sweep.search}
    scores = []
    if state == DONE:
        scores = [score for cell in cells for score in scores_of(cell)]
    return Trial(point, texts, cells, state, scores)


def scores_of(cell):
    """Return the validation metric of each fold of a finished cell.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.

    Returns
    -------
    list of float

    Raises
    ------
    HparamsError
        It has no validation.
    DataError
        Its result is damaged.
    """
    name = f"valid_{cell.metric[0]}"
    form = {"fold": {name: (float, None)}}
    folder, scores = Path(cell.folder), []
    files = [folder / part / RESULT for part in cell.parts]
    for file in files or find_results(folder):
        require_unchanged(file.parent, RESULT)
        score = read_json(file, form, remedy(file.parent))["fold"][name]
        if score is None:
            raise HparamsError(
                f"{file}: there is no validation to search by: leave out "
                "fixed_epochs"
            )
        scores.append(score)
    return scores
