"""Read the results of finished runs."""

import re
from pathlib import Path
from typing import NamedTuple

from petl_modules.comparison.finding import RECIPE
from petl_modules.comparison.settings import Settings
from petl_modules.models import WEIGHTS
from petl_modules.runs.fold_files import (
    RESULT,
    read_result,
    remedy,
    require_unchanged,
)
from petl_modules.runs.folder_files import fold_folders
from petl_modules.runs.logs import progress_bar
from petl_modules.runs.plan import find_results, folder_name
from petl_modules.runs.run_data import DATA_FORM
from petl_modules.runs.yaml_text import read_text
from petl_modules.utils import UserError, damaged, read_json

SUMMARY, DATA = "summary.json", "data.json"
FORM = {
    "dataset": object,
    "protocol": str,
    "backbone": (str, None),
    "method": object,
    "seed": int,
    "metric": {"name": str, "mode": re.compile("min|max")},
}
AGAIN = "Delete it: the command of this run writes it again"
MANY = 200  # runs; more have a progress bar


class Run(NamedTuple):
    """One run: what its results have in common."""

    folder: str
    dataset: str
    protocol: str
    backbone: str
    method: str
    seed: int
    metric: str
    mode: str
    settings: dict  # see ``Settings.add``
    data: str  # the hash of its data; empty: not known

    @property
    def kind(self):
        """Runs of one kind differ in settings and seeds alone."""
        return self.dataset, self.backbone, self.method


class Result(NamedTuple):
    """One fold of a run. None: not recorded."""

    run: Run
    fold: int
    draw: int
    value: float
    seconds: float
    epochs: int
    best_epoch: int
    total_parameters: int
    trainable_parameters: int
    petl_parameters: int
    adapter_bytes: int | None
    train_clips: int | None = None
    test_clips: int | None = None
    device: str | None = None
    processes: int | None = None
    peak_memory_bytes: int | None = None
    commit: str | None = None
    versions: str | None = None

    @property
    def place(self):
        """What two methods must share to be paired."""
        return self.run.seed, self.fold, self.draw

    @property
    def folder(self):
        """The fold's folder."""
        return Path(self.run.folder, folder_name(self.fold, self.draw))


class Results(NamedTuple):
    """All that was read.

    Arguments
    ---------
    folds : list of Result
        The finished folds.
    settings : petl_modules.comparison.settings.Settings
        What their runs are made of.
    unfinished : list of str
        Runs and folds that are left out, as they have not ended.
    """

    folds: list
    settings: Settings
    unfinished: list


def read_results(runs):
    """Read the results of runs.

    Arguments
    ---------
    runs : list of pathlib.Path
        See ``find_runs``.

    Returns
    -------
    Results

    Raises
    ------
    DataError
        A file is damaged.
    UserError
        No fold is finished.
    """
    found = Results([], Settings(), [])
    for folder in progress_bar(runs, unit="run", disable=len(runs) <= MANY):
        files = find_results(folder)
        if not (folder / SUMMARY).is_file() or not files:
            found.unfinished.append(str(folder))
            continue
        run = _read_run(folder, found.settings)
        found.folds.extend(_read_fold(run, file) for file in files)
        done = {file.parent.name for file in files}
        begun = {fold.name for fold in fold_folders(folder)}
        found.unfinished.extend(
            str(folder / name) for name in sorted(begun - done)
        )
    if not found.folds:
        raise UserError(
            f"none of {len(runs)} runs has finished, such as {runs[0]}: a run "
            f"that has ended leaves {SUMMARY}"
        )
    return found


def _read_run(folder, settings):
    """Return a run; its settings are kept."""
    about = read_json(folder / SUMMARY, FORM, AGAIN)
    data = folder / DATA
    digest = read_json(data, DATA_FORM, AGAIN)["data"] if data.is_file() else ""
    base = about["backbone"]
    run = Run(
        str(folder),
        str(about["dataset"]),
        about["protocol"],
        "from scratch" if base is None else _last_part(base),
        str(about["method"]),
        about["seed"],
        *about["metric"].values(),
        {},
        digest,
    )
    text = read_text(folder / RECIPE)
    return run._replace(settings=settings.add(run.kind, text))


def _last_part(backbone):
    """Return the last part of a path or a name on the hub."""
    return backbone.partition("@")[0].rstrip("/").rpartition("/")[2] or backbone


def _read_fold(run, file):
    """Return the result of a fold."""
    require_unchanged(file.parent, RESULT)
    read = read_result(file, run.metric)
    fold, facts = read["fold"], read.get("facts", {})
    weights, clips = file.parent / WEIGHTS, facts.get("clips", {})
    if f"test_{run.metric}" not in fold:
        reason = f"there is no test_{run.metric}"
        raise damaged(file, reason, remedy(file.parent))
    libraries = facts.get("versions", {}).items()
    return Result(
        run,
        fold["fold"],
        fold.get("draw", 1),
        fold[f"test_{run.metric}"],
        *(fold[key] for key in ("seconds", "epochs", "best_epoch")),
        *(read[f"{key}_parameters"] for key in ("total", "trainable", "petl")),
        weights.stat().st_size if weights.is_file() else None,
        clips.get("train"),
        clips.get("test"),
        *(
            facts.get(key)
            for key in ("device", "processes", "peak_memory_bytes", "commit")
        ),
        ", ".join(f"{k} {v}" for k, v in libraries) or None,
    )
