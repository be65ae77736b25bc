"""Content of ``summary.json``, and the predictions of all folds."""

from pathlib import Path

from petl_modules.runs.fold_files import PREDICTIONS, read_results, remedy
from petl_modules.runs.plan import folder_name
from petl_modules.runs.report import means
from petl_modules.utils import read_csv, versions, write_json

OF_A_FOLD = ("fold", "facts")  # keys of ``result.json``


def write_summary(settings, plan, report=None):
    """Write ``summary.json``, and what belongs to the task.

    Arguments
    ---------
    settings : dict
        The recipe file's values.
    plan, report
        See ``Experiment.summarise``.

    Returns
    -------
    dict
        The content.
    """
    folder = Path(settings["output_folder"])
    metric = settings["best_metric"]["name"]
    results = plan.complete(read_results(folder, metric))
    summary = build_summary(settings, results, plan.protocol, plan.n_folds)
    if report is not None:
        report(folder, read_predictions(folder, summary["folds"]))
    write_json(folder / "summary.json", summary)
    return summary


def build_summary(settings, results, protocol, n_folds):
    """Build the content of ``summary.json``.

    Arguments
    ---------
    settings : dict
        The recipe file's values.
    results : list of dict
        Contents of ``result.json``, one for each fold.
    protocol : str
        The protocol in one line.
    n_folds : int
        Number of folds of the protocol, finished or not.

    Returns
    -------
    dict
    """
    if settings.get("allow_partial"):
        protocol += "; on a part of the data (allow_partial)"
    named = ("backbone", "method", "seed")
    return {
        "dataset": settings["dataset"],
        "protocol": protocol,
        "n_folds": n_folds,
        **{key: settings[key] for key in named},
        "metric": dict(settings["best_metric"]),
        "folds": [result["fold"] for result in results],
        **means(result["fold"] for result in results),
        **{k: v for k, v in results[0].items() if k not in OF_A_FOLD},
        "versions": versions(),
    }


def read_predictions(folder, folds):
    """Read the predictions of all folds.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    folds : list of dict
        Entries of ``summary.json``.

    Returns
    -------
    list of dict
        The rows; a fold without ``predictions.csv`` has none.
    """
    names = [folder_name(fold["fold"], fold.get("draw", 1)) for fold in folds]
    files = [folder / name / PREDICTIONS for name in names]
    return [
        row
        for file in files
        if file.exists()
        for row in read_csv(file, remedy=remedy(file.parent))
    ]
