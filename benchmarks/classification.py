"""Rows of benchmarks/demo.py: classification on the miniatures."""

from statistics import fmean, pstdev

import common  # isort: skip, first: it prepares the path
from runs import UNORDERED, finished, output_of
from table_file import tell_origins, tell_seeds, with_deviation

from petl_modules.miniatures.trials import (
    BACKBONES,
    METHODS,
    MINIATURES,
    command,
)

FILE = ""
DATASETS = MINIATURES
TRIAL = ("dataset", "backbone", "method", "positions", "seed")
DATA = TRIAL[:2]  # a clip is used in part or whole
VALUES = ("accuracy",)
SPEECH = [name for name in BACKBONES if name != "ast"]


def trials(datasets, methods, seeds):
    """Return the trials: data set, backbone, method, positions, seed."""
    found = []
    for seed in seeds:
        for dataset in (x for x in DATASETS if x in datasets):
            for method in (x for x in METHODS if x in methods):
                found.append((dataset, "ast", method, "center_cut", seed))
                if method in UNORDERED:
                    found.append((dataset, "ast", method, "zeros", seed))
                for backbone in SPEECH if MINIATURES[dataset].speech else []:
                    found.append((dataset, backbone, method, "", seed))
    return found


def run(folder, trial):
    """Return the values of a trial; run the trial if it has no result.

    Arguments
    ---------
    folder : pathlib.Path
        Where data and runs are.
    trial : tuple
        See ``trials``.
    """
    dataset, backbone, method, positions, seed = trial
    output = output_of(folder, trial)
    changes = {"positions": positions} if positions else {}
    words = command(
        dataset, method, folder, output, backbone, seed=seed, **changes
    )
    found = finished(words, output)
    return {
        "accuracy": round(found["accuracy_mean"], 4),
        "trainable_parameters": found["trainable_parameters"],
        "seconds": round(sum(fold["seconds"] for fold in found["folds"]), 1),
        **found["about"],
    }


def gathered(rows):
    """Return accuracies by backbone, method and positions, then by data set."""
    groups = {}
    for row in rows:
        key = (row["backbone"], row["method"], row["positions"])
        found = groups.setdefault(key, {}).setdefault(row["dataset"], [])
        found.append(float(row["accuracy"]))
    return groups


def report(rows):
    """Return the section of the Markdown file: a table for each backbone."""
    tables = {}
    for (backbone, method, positions), found in gathered(rows).items():
        name = f"{method}{', no positions' * (positions == 'zeros')}"
        tables.setdefault(backbone, {})[name] = found
    cells = {}
    for row in rows:
        cell = [row[key] for key in TRIAL[:-1]]
        cells.setdefault(tuple(cell), []).append(row["seed"])
    what = "cell, one if it has no deviation"
    seeds = tell_seeds(cells.values(), "mean and standard deviation", what)
    parts = [f"# Methods on the miniatures\n\nAccuracy in %, {seeds}."]
    for backbone, lines in tables.items():
        parts.append(f"## {BACKBONES[backbone].name}\n\n{methods_table(lines)}")
    return "\n\n".join([*parts, tell_origins(rows)])


def methods_table(lines):
    """Return the Markdown table of one backbone.

    Arguments
    ---------
    lines : dict
        From method to accuracies by data set. The mean of a method that lacks
        a data set would be one of other data: it has none.
    """
    names = [x for x in DATASETS if any(x in found for found in lines.values())]
    rows = []
    for method, found in lines.items():
        row = {"method": method}
        row |= {name: with_deviation(of) for name, of in found.items()}
        if len(found) == len(names):
            mean = 100 * fmean(fmean(of) for of in found.values())
            row["mean"] = f"{mean:.1f}"
        rows.append(row)
    columns = {name: f"{{{name}}}" for name in ("method", *names, "mean")}
    return common.table(rows, columns)


def panels(rows):
    """Return the points of the figure by data set: AST with its positions."""
    trained = {
        tuple(row[key] for key in TRIAL[:3]): int(row["trainable_parameters"])
        for row in rows
    }
    found = {}
    for (backbone, method, positions), datasets in gathered(rows).items():
        for name, values in datasets.items():
            if backbone == "ast" and positions != "zeros":
                size = trained[name, backbone, method]
                point = (method, size, fmean(values), pstdev(values))
                found.setdefault(name, []).append(point)
    return found
