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
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import speakers
import speech
from tqdm import tqdm

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
from petl_modules.utils import commit, versions, write_csv, write_text

CHOICES = {
    "datasets": [*ALL],
    "methods": [*dict.fromkeys([*METHODS, *SPEAKER_METHODS, *SPEECH_METHODS])],
}
UNORDERED = ("linear", "lora", "bottleneck")  # tried without positions, too


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


def finished(words, summary):
    """Return the summary of a run; run the command line if there is none."""
    if not summary.is_file():
        done = subprocess.run(
            [*words, "--noprogressbar"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            cwd=common.ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(
                f"{' '.join(words)}\nended with code {done.returncode}:\n"
                f"{done.stderr[-3000:]}"
            )
    return json.loads(summary.read_text("utf-8"))


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
    """Return rows with mean and standard deviation over the seeds."""
    groups = {}
    for row in rows:
        key = (row["backbone"], row["method"], row["positions"])
        groups.setdefault(key, {}).setdefault(row["dataset"], []).append(row)
    return {
        key: {
            dataset: (
                found[0]["trainable_parameters"],
                statistics.fmean(row["accuracy"] for row in found),
                statistics.pstdev(row["accuracy"] for row in found),
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
            row[dataset] = f"{100 * mean:.1f} ± {100 * std:.1f}"
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
        for dataset, point in datasets.items():
            if backbone == "ast" and positions != "zeros":
                found.setdefault(dataset, []).append((method, *point))
    return found


def claim(folder):
    """Reserve a folder for the runs of this commit; return the commit."""
    own, note = commit() or "unknown", folder / "commit.txt"
    found = note.read_text("utf-8").strip() if note.is_file() else own
    if found != own:
        raise SystemExit(
            f"{folder} holds runs of commit {found}, and {own} is checked "
            "out: name another --folder, or remove that one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, f"{own}\n")
    return own


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
    for name, known in CHOICES.items():
        given = getattr(chosen, name).split(",")
        if unknown := set(given) - set(known):
            parser.error(
                f"no {name} {', '.join(sorted(unknown))}; there are: "
                f"{', '.join(known)}"
            )
        setattr(chosen, name, given)
    for dataset in chosen.datasets:
        if not set(chosen.methods) & set(ALL[dataset].methods):
            known = ", ".join(ALL[dataset].methods)
            parser.error(f"no such methods of {dataset}; there are: {known}")
    chosen.seeds = [int(seed) for seed in chosen.seeds.split(",")]
    return chosen


def rows_of(todo, work, processes):
    """Return the rows of trials, from several processes at a time."""
    with ThreadPoolExecutor(processes) as threads:
        found = threads.map(work, todo)
        return list(tqdm(found, "runs", len(todo), unit="run"))


def main(words):
    """Run the trials without a result, then write tables and figure."""
    chosen = parse(words)
    folder, target = Path(chosen.folder).resolve(), Path(chosen.csv)
    own = claim(folder)
    for dataset in chosen.datasets:
        other = speakers.MINIATURE_SEED if dataset == speakers.DATASET else 0
        write_miniature(dataset, folder / ALL[dataset].folder, seed=other)
    target.parent.mkdir(parents=True, exist_ok=True)
    facts = ", ".join(f"{name} {value}" for name, value in versions().items())
    seeds = ", ".join(map(str, chosen.seeds))
    made = (
        f"Commit {own}, {common.machine()}, {chosen.processes} runs at a time "
        f"of one thread each, {facts}."
    )
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
