"""All methods on real recordings, with the small pretrained encoders.

    python benchmarks/real.py --digits DIR --sounds DIR --speech DIR

writes results/real.csv, .md and .png. The folders are those of FSDD, of ESC-50
and of tools/real_speech.py; a part of FSDD or ESC-50 does. A task without a
folder is left out. A run replaces the row of the same task, encoder, method,
positions and seed, and all other rows stay: the table may be made of several
commits and machines, which its rows name. It has one set of data for a task.

Digits and sounds are classified with folds, voices verified in trials. Runs are
spread over processes of one thread each. Started again, the benchmark keeps
finished runs; a folder holds the runs of one commit, machine and set of data.
Once all have finished, later commits make the table of them.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import dots
import real_report
from real_trials import CHOICES, TASKS, VOICES, command, trials
from runs import finished, origin_of, reserve, split_names
from table_file import TableFile

from petl_modules.utils import UserError, fail, write_text
from tools import real_voices

TRIAL = ("task", "encoder", "method", "positions", "seed")
DATA = TRIAL[:1]
VALUES = ("value", "folds")


def run(data, folder, trial):
    """Return the values of a trial; run the trial if it has no result.

    Arguments
    ---------
    data, folder
        See ``command``.
    trial : tuple
        See ``trials``.
    """
    task, _, method, *_ = trial
    found = finished(*command(trial, data, folder))
    metric = "eer" if task == "voices" else "accuracy"
    values = [fold[f"test_{metric}"] for fold in found["folds"]]
    several = task != "voices"
    trained = found["trainable_parameters"] if method != "untrained" else 0
    return {
        "metric": metric,
        "value": round(sum(values) / len(values), 4),
        "lowest": round(min(values), 4) if several else "",
        "highest": round(max(values), 4) if several else "",
        "folds": " ".join(f"{value:.4f}" for value in values),
        "trainable_parameters": trained,
        "seconds": round(sum(fold["seconds"] for fold in found["folds"]), 1),
        **found["about"],
    }


def reserve_data(folder, task, data):
    """Reserve a task's results for its data folder, unless there are none."""
    note = folder / f"{task}.txt"
    made = any((folder / task).rglob("summary.json"))
    if task == "voices":
        made = made or (folder / VOICES).is_dir()
    if not made:  # what was tried with another folder has failed
        note.unlink(missing_ok=True)
    reserve(note, str(data), "data")


def parse(words):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for task, what in real_report.SOURCES.items():
        parser.add_argument(f"--{what}", type=Path, help=f"for {task}")
    for name, known in CHOICES.items():
        parser.add_argument(f"--{name}", default=",".join(known))
    parser.add_argument("--seeds", default="10,11,12")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", default="results/bench-real")
    parser.add_argument("--csv", default="results/real.csv")
    chosen = parser.parse_args(words)
    split_names(parser, chosen, CHOICES)
    chosen.data = {}
    for task in chosen.tasks:
        what = real_report.SOURCES[task]
        folder = getattr(chosen, what)
        if not trials([task], chosen.encoders, chosen.methods, [0]):
            print(f"{task}: left out, has no such encoder and method")
        elif folder is None:
            print(f"{task}: left out, without --{what} DIR")
        elif not folder.is_dir():
            parser.error(f"--{what}: there is no folder {folder}")
        else:
            chosen.data[task] = folder.resolve()
    if not chosen.data:
        parser.error("nothing to run: every task is left out")
    return chosen


def main(words):
    """Run the trials without a result, then write table and figure."""
    chosen = parse(words)
    folder, target = Path(chosen.folder).resolve(), Path(chosen.csv)
    table = TableFile(target, TRIAL, DATA, VALUES, real_report.report)
    todo = trials(chosen.data, chosen.encoders, chosen.methods, chosen.seeds)
    origin = origin_of(folder, todo)
    for task, data in chosen.data.items():
        reserve_data(folder, task, data)
    if speech := chosen.data.get("voices"):
        chosen.data["voices"] = voices = folder / VOICES
        if not voices.is_dir():
            real_voices.main([str(speech), str(voices)])
    work = partial(run, chosen.data, folder)
    known = trials(TASKS, CHOICES["encoders"], CHOICES["methods"], [0])
    table.extend(todo, work, origin, chosen.processes, known)
    text = real_report.report(table.rows)
    write_text(target.with_suffix(".md"), text)
    dots.draw(target.with_suffix(".png"), table.rows)
    print(text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    except (UserError, OSError) as error:
        fail(error)
