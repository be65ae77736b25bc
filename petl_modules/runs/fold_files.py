"""Files of a finished fold: their forms, and whether they are as written."""

import json
import re

from petl_modules.models import WEIGHTS, read_trained, save_trained
from petl_modules.runs.fold_facts import COUNT, FORM
from petl_modules.runs.plan import find_results, folder_name
from petl_modules.utils import (
    SEAL,
    damaged,
    find_damage,
    read_csv,
    read_json,
    seal,
    sha256,
    write_bytes,
    write_csv,
)

RESULT = "result.json"  # marks a fold as finished
PREDICTIONS = "predictions.csv"  # not of every task
SEALED_SINCE = 3  # format of the weights of folds that have checksums
SEALED = (WEIGHTS, "hyperparams.yaml", RESULT)
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
        "facts?": FORM,  # not of folds of earlier versions
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


def write_fold(folder, result, rows, model, facts=None):
    """Write the files of a finished fold, their checksums, and the result.

    The result comes last: it marks the fold as finished.

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
    facts : dict or None
        How the fold came about, see ``petl_modules.runs.fold_facts``. None:
        it is not known.
    """
    save_trained(model, folder / WEIGHTS)
    if rows is not None:
        write_csv(folder / PREDICTIONS, rows)
    entry = {"fold": result, **model.count_parameters()}
    if facts is not None:
        entry["facts"] = facts
    content = (json.dumps(entry, indent=2) + "\n").encode()
    seal(folder, _sealed(folder), {RESULT: content})
    write_bytes(folder / RESULT, content)


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


def require_unchanged(folder, name):
    """Refuse a finished fold of which a file was changed.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder. Folds of earlier versions have no checksums.
    name : str
        The file in it.

    Raises
    ------
    DataError
        It was changed.
    """
    if not all((folder / name).exists() for name in (SEAL, RESULT)):
        return
    sums = read_json(folder / SEAL, {name: SHA256}, remedy(folder))
    file = folder / name
    if sha256(file) != sums[name]:
        reason = f"it is not the file that {SEAL} has the checksum of"
        raise damaged(file, reason, f"Restore it. Or: {remedy(folder)}")


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
    sealed = (folder / SEAL).exists()
    reason = find_damage(folder, _sealed(folder)) if sealed else None
    if reason:
        raise damaged(folder, reason, remedy(folder))
    result = read_result(folder / RESULT, metric)
    digest = result["fold"]["weights_sha256"]
    _, about = read_trained(folder / WEIGHTS, digest)
    if not sealed and about.get("format", 1) >= SEALED_SINCE:
        raise damaged(folder, f"{SEAL} is missing", remedy(folder))
    file = folder / PREDICTIONS
    rows = read_csv(file, remedy=remedy(folder)) if file.exists() else []
    found = [row["id"] for row in rows if "id" in row]
    if clips is not None and found and sorted(found) != sorted(clips):
        reason = f"its {len(found)} rows are not those of the test clips"
        raise damaged(file, reason, remedy(folder))
