"""All methods on all miniatures, with the small pretrained backbones.

    python benchmarks/demo.py                   # writes results/demo*
    python benchmarks/demo.py --methods linear,lora --datasets GSC --seeds 10

Each row is a run of a recipe: a method on a miniature with a seed; those of
speaker verification (VoxCeleb1) and of recognition (LibriSpeech) have tables of
their own. Runs are spread over
processes of one thread each. Started again, the benchmark keeps finished runs; a
folder holds the runs of one commit.
"""

import argparse
import os
import statistics
import sys
from functools import partial
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import speakers
import speech
from runs import UNORDERED, claim, finished, origin, rows_of, split_names

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.trials import (
    ALL,
    BACKBONES,
    METHODS,
    MINIATURES,
    SPEAKER_METHODS,
    SPEECH_METHODS,
    command,
)
from petl_modules.runs.plots import draw_tradeoff
from petl_modules.utils import UserError, fail, write_csv

CHOICES = {
    "datasets": [*ALL],
    "methods": [*dict.fromkeys([*METHODS, *SPEAKER_METHODS, *SPEECH_METHODS])],
}


def trials(datasets, methods, seeds):
    """Return the trials: dataset, backbone, method, positions, seed."""
    found = []
    for seed in seeds:
        for dataset in datasets:
            for method in methods:
                found.append((dataset, "ast", method, "center_cut", seed))
                if method in UNORDERED:
                    found.append((dataset, "ast", method, "zeros", seed))
                if MINIATURES[dataset].speech:
                    found.append((dataset, "wav2vec2", method, "", seed))
    return found


def run(folder, trial):
    """Return the row of a trial; run the trial if it has no result."""
    dataset, backbone, method, positions, seed = trial
    output = folder.joinpath(*(str(part) or "-" for part in trial))
    changes = {"positions": positions} if positions else {}
    words = command(
        dataset, method, folder, output, backbone, seed=seed, **changes
    )
    found = finished(words, output / "summary.json")
    return {
        "dataset": dataset,
        "backbone": backbone,
        "method": method,
        "positions": positions,
        "seed": seed,
        "accuracy": round(found["accuracy_mean"], 4),
        "trainable_parameters": found["trainable_parameters"],
        "seconds": round(sum(fold["seconds"] for fold in found["folds"]), 1),
    }


def gathered(rows):
    """Return rows with mean and, of several seeds, standard deviation."""
    groups = {}
    for row in rows:
        key = (row["backbone"], row["method"], row["positions"])
        groups.setdefault(key, {}).setdefault(row["dataset"], []).append(row)
    return {
        key: {
            dataset: (
                found[0]["trainable_parameters"],
                statistics.fmean(row["accuracy"] for row in found),
                statistics.pstdev(row["accuracy"] for row in found)
                if len(found) > 1
                else None,
            )
            for dataset, found in datasets.items()
        }
        for key, datasets in groups.items()
    }


def report(rows):
    """Return a Markdown table for each backbone, with a row for each method."""
    tables = {}
    for key, found in sorted(gathered(rows).items()):
        backbone, method, positions = key
        row = {"method": f"{method}{', no positions' * (positions == 'zeros')}"}
        for dataset, (_, mean, std) in found.items():
            row[dataset] = f"{100 * mean:.1f}"
            if std is not None:
                row[dataset] += f" ± {100 * std:.1f}"
        row["mean"] = 100 * statistics.fmean(m for _, m, _ in found.values())
        tables.setdefault(backbone, []).append(row)
    parts = []
    for backbone, lines in tables.items():
        columns = {name: f"{{{name}}}" for name in lines[0]}
        table = common.table(lines, {**columns, "mean": "{mean:.1f}"})
        parts.append(f"## {BACKBONES[backbone].name}\n\n{table}")
    return "\n\n".join(parts)


def panels(rows):
    """Return the points of the figure by dataset: AST with its positions."""
    found = {}
    for (backbone, method, positions), datasets in gathered(rows).items():
        for dataset, (trained, mean, std) in datasets.items():
            if backbone == "ast" and positions != "zeros":
                point = (method, trained, mean, std or 0)
                found.setdefault(dataset, []).append(point)
    return found


def parse(words):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", default=",".join(CHOICES["datasets"]))
    parser.add_argument("--methods", default=",".join(CHOICES["methods"]))
    parser.add_argument("--seeds", default="10,11,12")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", default="results/bench-demo")
    parser.add_argument("--csv", default="results/demo.csv")
    chosen = parser.parse_args(words)
    split_names(parser, chosen, CHOICES)
    for dataset in chosen.datasets:
        if not set(chosen.methods) & set(ALL[dataset].methods):
            known = ", ".join(ALL[dataset].methods)
            parser.error(f"no such methods of {dataset}; there are: {known}")
    return chosen


def main(words):
    """Run the trials without a result, then write tables and figure."""
    chosen = parse(words)
    folder, target = Path(chosen.folder).resolve(), Path(chosen.csv)
    own = claim(folder)
    for dataset in chosen.datasets:
        other = speakers.MINIATURE_SEED if dataset == speakers.DATASET else 0
        write_miniature(dataset, folder / ALL[dataset].folder, seed=other)
    target.parent.mkdir(parents=True, exist_ok=True)
    seeds = ", ".join(map(str, chosen.seeds))
    made = origin(own, chosen.processes)
    datasets = [name for name in chosen.datasets if name in MINIATURES]
    methods = [name for name in chosen.methods if name in METHODS]
    if todo := trials(datasets, methods, chosen.seeds):
        rows = rows_of(todo, partial(run, folder), chosen.processes)
        write_csv(target, rows)
        text = (
            f"# Methods on the miniatures\n\nAccuracy in %, mean and standard "
            f"deviation over seeds {seeds}.\n\n{report(rows)}\n\n{made}\n"
        )
        common.write_section(target.with_suffix(".md"), text)
        draw_tradeoff(target.with_suffix(".png"), panels(rows), "accuracy")
    for task in (speakers, speech):
        known = ALL[task.DATASET].methods
        methods = [name for name in chosen.methods if name in known]
        if task.DATASET not in chosen.datasets or not methods:
            continue
        todo = task.trials(methods, chosen.seeds)
        work = partial(task.run, folder, finished=finished)
        rows = rows_of(todo, work, chosen.processes)
        name = f"{target.stem}_{task.__name__}.csv"
        write_csv(target.with_name(name), rows)
        text = f"{task.report(rows, seeds)}\n\n{made}\n"
        common.write_section(target.with_suffix(".md"), text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    except (UserError, OSError) as error:
        fail(error)
