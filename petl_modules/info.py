"""Show what a trained model is: ``python -m petl_modules.info RUN``.

Takes the folder of a run, of a fold or of an export, or a file of trained
weights. Neither the backbone nor the model is loaded.
"""

import argparse
import math
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.inference.trained_model import find_fold
from petl_modules.models import WEIGHTS, read_trained
from petl_modules.models.weights_file import digest
from petl_modules.runs.fold_files import RESULT, read_result
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.yaml_text import read_text
from petl_modules.utils import (
    UserError,
    fail,
    printable,
    read_json,
    show,
    show_json,
)

__all__ = ["facts_of", "main"]

# Of batch norms: saved with the weights, and not trained
COUNTERS = ("running_mean", "running_var", "num_batches_tracked")
REMEDY = "Restore it, or run the recipe again, which writes it anew"


def main(arguments=None):
    """Run the command line: ``RUN [RUN ...] [--json]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.info")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a run, a fold or an export, or a .safetensors file",
    )
    parser.add_argument(
        "--json", action="store_true", help="a JSON object for each"
    )
    chosen = parser.parse_args(arguments)
    for run in chosen.runs:
        try:
            facts = facts_of(run)
        except (UserError, OSError) as error:
            fail(error)
        if chosen.json:
            show_json(facts)
            continue
        width = max(map(len, facts)) + 2
        for name, value in facts.items():
            show(printable(f"{name:{width}}{_text(value)}"))


def facts_of(run):
    """Return what a trained model is.

    Arguments
    ---------
    run : str or pathlib.Path
        The folder of a run, of a fold or of an export, or a file of trained
        weights.

    Returns
    -------
    dict
        Plain data by name: of a file, what is in it; of a folder, also where
        the backbone was, the protocol and the results.

    Raises
    ------
    FileNotFoundError
        If there is no trained model.
    UserError
        If a file is damaged.
    """
    file, more = Path(run), {}
    if not file.is_file():
        folder = find_fold(run)
        file, more = folder / WEIGHTS, _facts_of_fold(folder)
    state, about = read_trained(file, more.pop("recorded", None))
    settings = about["settings"]
    encoder = settings["encoder"]
    counts = _count(state, encoder["methods"])
    return {
        "model": str(file),
        **more,
        **_facts_of_backbone(encoder["backbone"]),
        "methods": [_words(method) for method in encoder["methods"]]
        or ["none"],
        **{
            name.replace("_", " "): encoder[name]
            for name in ("train_backbone", "train_norms", "tokens")
            if name in encoder
        },
        "head": _words(settings["head"]),
        "labels": settings["must_match"].get("labels", []),
        "trained parameters": sum(counts.values()),
        "by part": counts,
        "bytes": file.stat().st_size,
        "weights sha256": digest(state),
        "versions": about.get("versions", {}),
    }


def _facts_of_fold(folder):
    """Return what the other files of a fold say."""
    file = folder / "hyperparams.yaml"
    settings = RecipeFile.parse(read_text(file), file).settings
    facts = {
        name: settings[name]
        for name in ("dataset", "method", "seed", "backbone")
        if name in settings
    }
    if not (folder / RESULT).exists():
        return facts
    metric = settings["best_metric"]["name"]
    fold = read_result(folder / RESULT, metric)["fold"]
    facts["recorded"] = fold["weights_sha256"]
    facts["fold"] = {
        name: fold[name]
        for name in ("fold", "draw", "best_epoch", "seconds")
        if name in fold
    }
    names = f"valid_{metric}", f"test_{metric}", f"last_epoch_test_{metric}"
    facts["results"] = {name: fold[name] for name in names if name in fold}
    summary = folder.parent / "summary.json"
    if summary.exists():
        whole = read_json(summary, {"protocol": str}, REMEDY)
        facts["protocol"] = whole["protocol"]
        facts["all folds"] = {
            name: value
            for name, value in whole.items()
            if name.endswith(("_mean", "_std"))
        }
    return facts


def _facts_of_backbone(backbone):
    """Return what a file of weights says of its backbone."""
    if "network" in backbone:
        return {"encoder": f"{_words(backbone['network'])}, from scratch"}
    kind, layers = backbone["kind"], backbone["layers"]
    return {
        "encoder": f"{kind}, {layers} layers of {backbone['d_model']}",
        "encoder sha256": backbone["weights"],
        **{
            name: backbone[name]
            for name in ("frames", "positions")
            if name in backbone
        },
    }


def _words(thing):
    """Return plain data of ``models.settings.describe`` in one line."""
    if isinstance(thing, dict) and "class" in thing:
        values = [
            f"{name}={_words(value)}"
            for name, value in thing.items()
            if name != "class"
        ]
        return f"{thing['class']}({', '.join(values)})"
    if isinstance(thing, list):
        return f"[{', '.join(map(_words, thing))}]"
    return str(thing)


def _count(state, methods):
    """Return how many parameters are trained, by part of the model."""
    names = [method.get("block", method)["class"] for method in methods]
    counts = {}
    for name, value in state.items():
        if not name.endswith(COUNTERS):
            part = name.partition(".")[0]
            if part.isdecimal():
                part = names[int(part)]
            elif part.startswith("layer_"):
                part = "LayerSum"
            counts[part] = counts.get(part, 0) + math.prod(value.shape)
    return counts


def _text(value):
    """Return a fact as text."""
    if isinstance(value, bool) or not isinstance(value, (int, dict, list)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return f"{', '.join(map(str, value[:10]))}" + (
            f", ... ({len(value)})" if len(value) > 10 else ""
        )
    return ", ".join(
        f"{name} {x:.4g}" if isinstance(x, float) else f"{name} {_text(x)}"
        for name, x in value.items()
    )


if __name__ == "__main__":
    main()
