"""What is known of a trained model: its parts as plain data, its results."""

from petl_modules.inference.opened import RECOGNITION
from petl_modules.inference.plain import NEW, to_plain
from petl_modules.runs.fold_files import RESULT, read_result, remedy
from petl_modules.runs.plan import find_results
from petl_modules.utils import ExportError, read_json

KEYS = ("dataset", "backbone_name", "method", "seed")
WINDOWS = {NEW: "petl_modules.data.Windows"}
DECODERS = ("greedy", "beam")


def parts_of(settings, task):
    """Return what a model and its input are made of, as plain data.

    Arguments
    ---------
    settings : dict
        Values of the recipe file of a fold.
    task : str
        See ``petl_modules.inference.opened.Opened``.

    Returns
    -------
    dict
        ``features`` (of a test), ``windows`` and ``model``; of recognition
        ``units``.

    Raises
    ------
    ExportError
        See ``petl_modules.inference.plain.to_plain``; or the model does not
        say what its outputs stand for.
    """
    features = "test_features" if "test_features" in settings else "features"
    windows = settings.get("windows")
    made = {
        "features": to_plain(settings[features], features),
        "windows": WINDOWS if windows is None else to_plain(windows, "windows"),
        "model": to_plain(settings["model"], "model"),
    }
    labels = made["model"].get("must_match", {}).get("labels")
    if labels != [str(label) for label in settings["labels"]]:
        raise ExportError(
            "model.must_match.labels of the recipe file are not its labels, so "
            "a file of weights would not say what its outputs stand for"
        )
    if task == RECOGNITION:
        units = {"kind": str(settings["units"]), "labels": labels}
        made["units"] = {NEW: "petl_modules.recognition.Units", **units}
        require_decoder(settings)
    return made


def require_decoder(settings):
    """Refuse a decoder that is more than plain data.

    Raises
    ------
    ExportError
        If there is a language model, or another class of decoder.
    """
    if settings.get("decoder") not in DECODERS or settings.get("lm"):
        raise ExportError(
            f"the decoder is '{settings.get('decoder')}' with the language "
            f"model '{settings.get('lm')}', and a travelling folder has none: "
            "train or copy the run with decoder: greedy, lm: null"
        )


def results_of(folder, settings):
    """Return what a fold's run says of its data and its results.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    settings : dict
        Values of its recipe file.

    Returns
    -------
    dict
        ``dataset``, ``method``, ...; ``protocol`` (of a finished run, else
        None), ``metric``, and of each finished fold its name and the metric's
        validation and test values.

    Raises
    ------
    DataError
        A result is damaged.
    """
    said = {key: settings[key] for key in KEYS if key in settings}
    about = {k: v if type(v) is int else str(v) for k, v in said.items()}
    about |= {"fold": folder.name, "protocol": None, "folds": []}
    if "best_metric" not in settings or not (folder / RESULT).is_file():
        return about
    best = settings["best_metric"]
    metric = str(best["name"])
    about["metric"] = {"name": metric, "mode": str(best["mode"])}
    for file in find_results(folder.parent):
        fold = read_result(file, metric)["fold"]
        about["folds"].append(
            {
                "fold": file.parent.name,
                "valid": fold[f"valid_{metric}"],
                "test": fold[f"test_{metric}"],
            }
        )
    summary = folder.parent / "summary.json"
    if summary.is_file():
        form = {"protocol": str}
        read = read_json(summary, form, remedy(folder.parent))
        about["protocol"] = read["protocol"]
    return about
