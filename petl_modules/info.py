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

from petl_modules.inference.facts import results_of
from petl_modules.inference.run_fold import FORM, find_fold, read_recipe
from petl_modules.inference.travelling_config import (
    CONFIG,
    read_travelling,
    weights_of,
)
from petl_modules.models import WEIGHTS, read_trained
from petl_modules.models.weights_file import digest
from petl_modules.runs.fold_files import recorded_sha256
from petl_modules.utils import UserError, fail, printable, show, show_json

__all__ = ["facts_of", "main"]

# Of batch norms: saved with the weights, and not trained
COUNTERS = ("running_mean", "running_var", "num_batches_tracked")
MOST = 10  # values of a list that are shown


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
        known = {k: v for k, v in facts.items() if v not in (None, [])}
        width = max(map(len, known)) + 2
        for name, value in known.items():
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
    file, recorded, more = _find(Path(run))
    state, about = read_trained(file, recorded)
    settings = about["settings"]
    encoder = settings["encoder"]
    counts = _count(state, encoder)
    return {
        **{"model": str(file)} | more | {"model": str(file)},
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


def _find(run):
    """Return a file of weights, its digest if known, and what is beside it."""
    if run.is_file():
        return run, None, {}
    if (run / CONFIG).is_file():
        config = read_travelling(run)
        name, recorded = next(iter(weights_of(config).items()))
        base = {"base": config["base_model"]}
        return run / name, recorded, base | config["about"] | base
    folder = find_fold(run)
    settings = read_recipe(folder, FORM).settings
    base = settings["encoder"].get("backbone", {}).get("source")
    about = {"base": base, **results_of(folder, settings)}
    return folder / WEIGHTS, recorded_sha256(folder), about


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


def _count(state, encoder):
    """Return how many parameters are trained, by part of the model."""
    methods = encoder["methods"]
    names = [method.get("block", method)["class"] for method in methods]
    states = encoder.get("hidden_states")
    reader = states["class"] if isinstance(states, dict) else "LayerSum"
    counts = {}
    for name, value in state.items():
        if not name.endswith(COUNTERS):
            part = name.partition(".")[0]
            if part.isdecimal():
                part = names[int(part)]
            elif part.startswith("layer_"):
                part = reader
            counts[part] = counts.get(part, 0) + math.prod(value.shape)
    return counts


def _text(value):
    """Return a fact as text."""
    if isinstance(value, bool) or not isinstance(value, (int, dict, list)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list) and not value:
        return "none"
    if isinstance(value, list):
        shown = [*map(_text, value[:MOST])]
        if len(value) > MOST:
            shown.append(f"... ({len(value)} in all)")
        return ("; " if isinstance(value[0], dict) else ", ").join(shown)
    parts = {
        name: f"{x:.4g}" if isinstance(x, float) else _text(x)
        for name, x in value.items()
    }
    return ", ".join(
        text if name == "fold" else f"{name} {text}"
        for name, text in parts.items()
    )


if __name__ == "__main__":
    main()
