"""Files of a finished fold: their forms, and whether they are as written."""

import re

from petl_modules.models import WEIGHTS, read_trained, save_trained
from petl_modules.runs.plan import find_results, folder_name
from petl_modules.utils import (
    SEAL,
    damaged,
    find_damage,
    read_csv,
    read_json,
    seal,
    write_csv,
    write_json,
)

RESULT = "result.json"  # marks a fold as finished
PREDICTIONS = "predictions.csv"  # not of every task
SEALED = (WEIGHTS, "hyperparams.yaml", RESULT)
COUNT = range(1 << 53)
NUMBER = range(1, 1 << 53)
SHA256 = re.compile("[0-9a-f]{64}")


def result_form(metric):
    """Return the form of ``result.json``.

    Arguments
    ---------
    metric : str
        The metric that selects the epoch.

    Returns
    -------
    dict
        See ``petl_modules.utils.forms``.
    """
    optional = (float, None)  # fixed epochs: there is no validation
    return {
        "fold": {
            "fold": NUMBER,
            "draw?": NUMBER,
            "epochs": NUMBER,
            "best_epoch": NUMBER,
            "seconds": float,
            "weights_sha256": SHA256,
            "skipped_clips?": [str],
            f"train_{metric}": optional,
            f"valid_{metric}": optional,
            f"test_{metric}": float,
            f"last_epoch_test_{metric}": float,
            re.compile("(train|valid)_.*"): optional,
            re.compile("(last_epoch_)?test_.*"): float,
        },
        "total_parameters": COUNT,
        "trainable_parameters": COUNT,
        "petl_parameters": COUNT,
    }


def remedy(folder):
    """Return what to do if a file of a finished fold is damaged."""
    return f"Delete {folder}, and the same command trains this fold again"


def read_result(file, metric):
    """Read a fold's ``result.json``.

    Arguments
    ---------
    file : pathlib.Path
        The file in the fold's folder.
    metric : str
        The metric that selects the epoch.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        It is damaged, or belongs to another fold.
    """
    result = read_json(file, result_form(metric), remedy(file.parent))
    fold = result["fold"]
    name = folder_name(fold["fold"], fold.get("draw", 1))
    if name != file.parent.name:
        raise damaged(file, f"it is that of {name}", remedy(file.parent))
    return result


def read_results(folder, metric):
    """Read the results of all finished folds, which have the same metrics.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    metric : str
        See ``read_result``.

    Returns
    -------
    list of dict

    Raises
    ------
    DataError
        See ``read_result``; or the folds have different metrics.
    """
    files = find_results(folder)
    results = [read_result(file, metric) for file in files]
    for file, result in zip(files, results):
        if other := result["fold"].keys() ^ results[0]["fold"].keys():
            reason = f"not all folds have the key {min(other)!r}"
            raise damaged(file, reason, remedy(file.parent))
    return results


def write_fold(folder, result, rows, model):
    """Write the files of a finished fold, and their checksums.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    result : dict
        The fold's entry in ``summary.json``.
    rows : list of dict or None
        The rows of ``predictions.csv``. None: no such file.
    model : petl_modules.models.TunedModel
        The selected model.
    """
    save_trained(model, folder / WEIGHTS)
    if rows is not None:
        write_csv(folder / PREDICTIONS, rows)
    entry = {"fold": result, **model.count_parameters()}
    write_json(folder / RESULT, entry)
    seal_fold(folder)


def seal_fold(folder):
    """Write the checksums of a finished fold's files."""
    seal(folder, _sealed(folder))


def _sealed(folder):
    """Return the names of the files that have checksums."""
    optional = [PREDICTIONS] if (folder / PREDICTIONS).exists() else []
    return [*SEALED, *optional]


def recorded_sha256(folder):
    """Return the digest of a fold's weights that its result has.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.

    Returns
    -------
    str or None
        None: there is no result.

    Raises
    ------
    DataError
        The result is damaged.
    """
    file = folder / RESULT
    if not file.exists():
        return None
    form = {"fold": {"weights_sha256": SHA256}}
    return read_json(file, form, remedy(folder))["fold"]["weights_sha256"]


def require_intact(folder, metric, clips=None):
    """Check the files of a finished fold.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    metric : str
        See ``read_result``.
    clips : iterable of str or None
        The test clips, where they are known.

    Raises
    ------
    DataError
        A file was changed, cut or removed; or the predictions, where they
        have ids, are not those of the clips.
    CheckpointError
        The weights are not those of the result.
    """
    if (folder / SEAL).exists():  # not in folds of earlier versions
        if reason := find_damage(folder, _sealed(folder)):
            raise damaged(folder, reason, remedy(folder))
    result = read_result(folder / RESULT, metric)
    read_trained(folder / WEIGHTS, result["fold"]["weights_sha256"])
    file = folder / PREDICTIONS
    rows = read_csv(file, remedy=remedy(folder)) if file.exists() else []
    found = [row["id"] for row in rows if "id" in row]
    if clips is not None and found and sorted(found) != sorted(clips):
        reason = f"its {len(found)} rows are not those of the test clips"
        raise damaged(file, reason, remedy(folder))
