"""Runs of recipes for benchmarks/demo.py and real.py: started, resumed, named."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import common  # isort: skip, first: it prepares the path
from tqdm import tqdm

from petl_modules.utils import commit, read_json, versions, write_text

UNORDERED = ("linear", "lora", "bottleneck")  # tried without positions, too
SUMMARY_FORM = {"folds": [dict], "trainable_parameters": int}
DATA_FORM = {"clips": int, "data": str}


def output_of(folder, trial):
    """Return the folder of a trial's results."""
    return folder.joinpath(*(str(part) or "-" for part in trial))


def finished(words, output):
    """Return the summary of a run; run the command line if there is none.

    Arguments
    ---------
    words : list of str
        The command line.
    output : pathlib.Path
        The folder of its results.

    Returns
    -------
    dict
        ``folds`` and ``trainable_parameters``; ``about``: number of ``clips``
        and the ``data``'s checksum.
    """
    summary = output / "summary.json"
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
    remedy = f"Remove {output}, and the same command runs it again."
    found = read_json(summary, SUMMARY_FORM, remedy)
    of = read_json(output / "data.json", DATA_FORM, remedy)
    about = {"clips": of["clips"], "data": of["data"][:12]}
    return {**found, "about": about}


def reserve(note, own, what):
    """Reserve a note's folder for runs of one origin, which the note names."""
    found = note.read_text("utf-8").strip() if note.is_file() else own
    if found != own:
        raise SystemExit(
            f"{note.parent} holds runs of {what} {found}, and {own} is to "
            "run: name another --folder, or remove that one"
        )
    write_text(note, f"{own}\n")


def own_machine():
    """Return this machine and the versions of libraries as one text."""
    model = common.machine().rpartition(", ")[0]  # a run has one thread
    facts = [f"{name} {value}" for name, value in versions().items()]
    return ", ".join([model, "one thread a run", *facts])


def origin_of(folder, todo):
    """Return commit and machine of a folder's runs.

    Arguments
    ---------
    folder : pathlib.Path
        The folder. It is reserved for runs of this commit and machine, unless
        all have finished.
    todo : list of tuple
        The trials.

    Returns
    -------
    dict
        ``commit`` and ``machine``.
    """
    summaries = (output_of(folder, trial) / "summary.json" for trial in todo)
    left = not all(file.is_file() for file in summaries)
    found = {"commit": commit() or "unknown", "machine": own_machine()}
    folder.mkdir(parents=True, exist_ok=True)
    for what, own in found.items():
        note = folder / f"{what}.txt"
        if left:
            reserve(note, own, what)
        elif note.is_file():
            found[what] = note.read_text("utf-8").strip()
        else:
            found[what] = "unknown"
    return found


def split_names(parser, chosen, choices):
    """Check options that list names, seeds or processes; split the lists.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Ends the program at what cannot be.
    chosen : argparse.Namespace
        What it parsed, which is changed in place.
    choices : dict
        From option to its choices.
    """
    for name, known in choices.items():
        given = getattr(chosen, name).split(",")
        if unknown := set(given) - set(known):
            parser.error(
                f"no {name} {', '.join(sorted(unknown))}; there are: "
                f"{', '.join(known)}"
            )
        setattr(chosen, name, given)
    seeds = chosen.seeds.split(",")
    if not all(seed.isdecimal() for seed in seeds):
        parser.error(f"--seeds {chosen.seeds}: give numbers, as in 10,11,12")
    chosen.seeds = list(dict.fromkeys(map(int, seeds)))
    if chosen.processes < 1:
        parser.error(f"--processes {chosen.processes}: choose 1 or more")


def rows_of(todo, work, processes):
    """Return the rows of trials, from several processes at a time."""
    with ThreadPoolExecutor(processes) as threads:
        found = threads.map(work, todo)
        return list(tqdm(found, "runs", len(todo), unit="run"))
