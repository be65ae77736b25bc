"""All methods on all miniatures, with the small pretrained backbones.

    python benchmarks/demo.py                   # writes results/demo*
    python benchmarks/demo.py --methods linear,lora --datasets GSC --seeds 10
    python benchmarks/demo.py --backbones wav2vec2

Each row is a run of a recipe: a method on a miniature with a seed; those of
speaker verification (VoxCeleb1) and of recognition (LibriSpeech) have tables of
their own. A run replaces the row of its trial, and all other rows stay: the
tables may be made of several commits and machines, which their rows name. Runs are
spread over processes of one thread each. Started again, the benchmark keeps finished
runs; a folder holds the runs of one commit and machine.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import classification
import speakers
import speech
from runs import origin_of, split_names
from table_file import TableFile

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.trials import (
    ALL,
    BACKBONES,
    METHODS,
    SPEAKER_METHODS,
    SPEECH_METHODS,
)
from petl_modules.runs.plots import draw_tradeoff
from petl_modules.utils import UserError, fail

TASKS = (classification, speakers, speech)
CHOICES = {
    "datasets": [*ALL],
    "backbones": [*dict.fromkeys([*BACKBONES, *speakers.BACKBONES])],
    "methods": [*dict.fromkeys([*METHODS, *SPEAKER_METHODS, *SPEECH_METHODS])],
}


def parse(words):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, known in CHOICES.items():
        parser.add_argument(f"--{name}", default=",".join(known))
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
    tables = {}
    for task in TASKS:
        todo = [
            trial
            for trial in task.trials(
                chosen.datasets, chosen.methods, chosen.seeds
            )
            if trial[1] in chosen.backbones
        ]
        if todo:
            path = target.with_name(f"{target.stem}{task.FILE}.csv")
            columns = (task.TRIAL, task.DATA, task.VALUES)
            table = TableFile(path, *columns, task.report)
            tables[task] = (table, todo)
    if not tables:
        sys.exit("nothing to run: the data sets have no such backbone")
    every = [trial for _, todo in tables.values() for trial in todo]
    origin = origin_of(folder, every)
    for dataset in {trial[0] for trial in every}:
        other = speakers.MINIATURE_SEED if dataset == speakers.DATASET else 0
        write_miniature(dataset, folder / ALL[dataset].folder, seed=other)
    for task, (table, todo) in tables.items():
        known = task.trials(task.DATASETS, CHOICES["methods"], [0])
        work = partial(task.run, folder)
        table.extend(todo, work, origin, chosen.processes, known)
        report = task.report(table.rows)
        common.write_section(target.with_suffix(".md"), report)
        if task is classification and (points := task.panels(table.rows)):
            draw_tradeoff(target.with_suffix(".png"), points, "accuracy")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    except (UserError, OSError) as error:
        fail(error)
