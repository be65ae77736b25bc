"""All methods on real recordings, with the small pretrained encoders.

    python benchmarks/real.py --digits DIR --sounds DIR --speech DIR

writes results/real.csv, .md and .png. The folders are those of FSDD, of ESC-50
and of tools/real_speech.py; a part of FSDD or ESC-50 does. A task without a
folder is left out, and its rows, if there are any, stay as they are; those of
a task that runs are replaced, whatever encoders and methods are chosen.

Digits and sounds are classified with folds, voices verified in trials. Runs are
spread over processes of one thread each. Started again, the benchmark keeps
finished runs; a folder holds the runs of one commit and of one set of data.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import dots
import real_report
from runs import (
    UNORDERED,
    claim,
    finished,
    origin,
    reserve,
    rows_of,
    split_names,
)
from speakers import UNTRAINED

from petl_modules.miniatures.trials import (
    COMMON,
    METHODS,
    SCRATCH,
    SPEAKER_METHODS,
    training,
)
from petl_modules.utils import UserError, fail, read_csv, write_csv
from tools import real_voices

ENCODERS = {
    "tiny-ast": "ast",
    "tiny-wav2vec2": "wav2vec2",
    "small-wav2vec2": "wav2vec2",
}
SPEECH_ENCODERS = ("tiny-wav2vec2", "small-wav2vec2")
VOICES = "recorded_voices"
RECIPES = common.ROOT / "recipes"
TEMPLATE = common.ROOT / "templates" / "speaker_verification"
VOICE_METHODS = [m for m in SPEAKER_METHODS if m not in SCRATCH]
TASKS = {
    "digits": ([*ENCODERS], [*METHODS]),
    "sounds": (["tiny-ast"], [*METHODS]),
    "voices": ([*SPEECH_ENCODERS], ["untrained", *VOICE_METHODS]),
}
CHOICES = {
    "tasks": [*TASKS],
    "methods": [
        *dict.fromkeys(m for _, found in TASKS.values() for m in found)
    ],
    "encoders": [*ENCODERS],
}


def trials(tasks, encoders, methods, seeds):
    """Return the trials: task, encoder, method, positions, seed."""
    found = []
    for seed in seeds:
        for task in tasks:
            of, known = TASKS[task]
            for encoder in (x for x in of if x in encoders):
                for method in (x for x in known if x in methods):
                    ordered = "center_cut" if encoder == "tiny-ast" else ""
                    found.append((task, encoder, method, ordered, seed))
                    if ordered and method in UNORDERED:
                        found.append((task, encoder, method, "zeros", seed))
    return found


def command(trial, data, folder):
    """Return the command line of a trial, and the folder of its results.

    Arguments
    ---------
    trial : tuple
        See ``trials``.
    data : dict
        The data folder of each task.
    folder : pathlib.Path
        Where manifests, features and results go.
    """
    task, encoder, method, positions, seed = trial
    output = folder.joinpath(*(str(part) or "-" for part in trial))
    places = {
        "data_folder": data[task],
        "manifest_folder": folder / "manifests" / task,
        "output_folder": output,
        "seed": seed,
    }
    if positions:
        places["positions"] = positions
    options = {"backbone": common.ROOT / "pretrained" / encoder, **COMMON}
    if task == "voices":
        return voice_command(method, options, places), output
    options |= METHODS[method]
    if task == "digits":
        # 480 clips, not 60 to 96: about as many updates as on the miniatures
        options |= {
            "batch_size": 16,
            "number_of_epochs": options["number_of_epochs"] // 2,
        }
        script, seconds = RECIPES / "FSDD" / "train.py", 1.0
    else:
        # A validation part of 6 of 80 clips would select by chance
        options["fixed_epochs"] = True
        script, seconds = RECIPES / "ESC50" / "train.py", 5.0
    places["feature_cache"] = folder / "features"
    words = training(
        script, method, ENCODERS[encoder], seconds, options, places
    )
    return words, output


def voice_command(method, options, places):
    """Return the command line of a training that verifies voices."""
    del options["allow_partial"]  # the template knows no number of clips
    options |= {
        "dataset": "recorded_voices",
        "trials": "trials.txt",
        "valid_speakers": f"[{','.join(real_voices.VALID)}]",
        "batch_size": 16,
        "number_of_epochs": 10,
        "embedding_size": 64,
    }
    if method == "untrained":
        method, changes = UNTRAINED["wav2vec2"]
        options |= {**changes, "number_of_epochs": 1}
    else:
        options |= SPEAKER_METHODS[method]
    script = TEMPLATE / "train.py"
    # Half the clips are shorter than 0.93 s, and would be repeated
    return training(script, method, "wav2vec2", 1.0, options, places)


def run(data, folder, trial):
    """Return the row of a trial; run the trial if it has no result."""
    task, encoder, method, positions, seed = trial
    words, output = command(trial, data, folder)
    found = finished(words, output / "summary.json")
    metric = "eer" if task == "voices" else "accuracy"
    values = [fold[f"test_{metric}"] for fold in found["folds"]]
    several = task != "voices"
    trained = found["trainable_parameters"] if method != "untrained" else 0
    return {
        "task": task,
        "encoder": encoder,
        "method": method,
        "positions": positions,
        "seed": seed,
        "metric": metric,
        "value": round(sum(values) / len(values), 4),
        "lowest": round(min(values), 4) if several else "",
        "highest": round(max(values), 4) if several else "",
        "folds": " ".join(f"{value:.4f}" for value in values),
        "trainable_parameters": trained,
        "seconds": round(sum(fold["seconds"] for fold in found["folds"]), 1),
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
    old = real_report.read_table(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    own = claim(folder)
    for task, data in chosen.data.items():
        reserve_data(folder, task, data)
    if speech := chosen.data.get("voices"):
        chosen.data["voices"] = voices = folder / VOICES
        if not voices.is_dir():
            real_voices.main([str(speech), str(voices)])
    todo = trials(chosen.data, chosen.encoders, chosen.methods, chosen.seeds)
    work = partial(run, chosen.data, folder)
    rows = rows_of(todo, work, chosen.processes)
    kept = [row for row in old if row["task"] not in chosen.data]
    write_csv(target, sorted([*kept, *rows], key=lambda row: row["task"]))
    made = origin(own, chosen.processes)
    for task in chosen.data:
        part = [row for row in rows if row["task"] == task]
        again = f'make bench-real ARGS="--{real_report.SOURCES[task]} DIR"'
        text = f"{real_report.section(task, part)}\n\n`{again}`. {made}\n"
        common.write_section(target.with_suffix(".md"), text)
    dots.draw(target.with_suffix(".png"), read_csv(target))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    except (UserError, OSError) as error:
        fail(error)
