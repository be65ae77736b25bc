"""Compare the speakers of audio files with a trained run.

``python -m petl_modules.verify RUN_FOLDER one.wav other.wav``, or
``python -m petl_modules.verify RUN_FOLDER --trials list.txt``.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

import numpy as np
from tqdm import tqdm

from petl_modules.inference.embedder import Verifier
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import (
    AudioError,
    UserError,
    fail,
    listed,
    printable,
    require_new,
    show,
    write_csv,
)
from petl_modules.verification import error_curve, rates_at, read_trials

__all__ = ["Verifier", "main"]

ANSWERS = {True: "same speaker", False: "different speakers"}


def main(arguments=None):
    """Run the command line: ``RUN_FOLDER (ONE OTHER | --trials LIST)``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.verify")
    parser.add_argument("run", help="folder of a run or of one fold")
    parser.add_argument("files", nargs="*", help="two audio files")
    parser.add_argument("--trials", help="a list: [label] path path, by lines")
    parser.add_argument(
        "--folder", help="of the list's files; default: its own"
    )
    parser.add_argument("--output", help="a new CSV file for the list's scores")
    parser.add_argument(
        "--threshold", type=float, help="default: the run's own"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", help="its new path, if it was moved")
    chosen = parser.parse_args(arguments)
    if len(chosen.files) != (0 if chosen.trials else 2):
        parser.error("give two audio files, or --trials LIST")
    if not chosen.trials and (chosen.folder or chosen.output is not None):
        parser.error("--folder and --output go with --trials LIST")
    log_to()
    try:
        good = verify(chosen)
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    if not good:
        sys.exit(1)


def verify(chosen):
    """Print the scores and decisions; return whether all files were good."""
    output = chosen.output
    if output is not None:
        output = require_new(output)
    verifier = Verifier(
        chosen.run, chosen.device, chosen.backbone, chosen.threshold
    )
    threshold = f"threshold {verifier.threshold:.4f}"
    if not chosen.trials:
        score, same = verifier(*chosen.files)
        show(f"score {score:.4f}  {ANSWERS[same]} ({threshold})")
        return True
    folder = Path(chosen.folder or Path(chosen.trials).parent)
    trials = read_trials(
        chosen.trials,
        partial(record_of, folder),
        unlabelled=True,
        elsewhere=f"names are paths below {folder}; --folder DIR names another",
    )
    units, problems = embed_all(verifier, folder, trials.clips())
    scored = trials.among(units)
    if not len(scored):
        raise AudioError(f"no trial has two files that can be used{problems}")
    decisions = verifier.compare(
        np.concatenate([*units.values()]), *scored.places([*units])
    )
    rows = [
        {"first": one, "second": other, "score": score, "same_speaker": same}
        for one, other, (score, same) in zip(
            scored.first, scored.second, decisions
        )
    ]
    if output:
        write_csv(output, rows)
    else:
        for row in rows:
            names = printable(f"{row['first']}  {row['second']}")
            show(f"{row['score']:.4f}  {ANSWERS[row['same_speaker']]}  {names}")
    accepted = sum(row["same_speaker"] for row in rows)
    show(f"{len(rows)} trials, {accepted} of one speaker ({threshold})")
    if scored.same is not None:
        show_rates([row["score"] for row in rows], scored.same, verifier)
    if problems:
        left_out = f"{len(trials) - len(scored)} of {len(trials)} trials"
        text = f"error: {left_out} are not scored{problems}"
        show(printable(text, keep="\n"), sys.stderr)
    return not problems


def show_rates(scores, same, verifier):
    """Print the error rates of trials with labels."""
    if same.all() or not same.any():
        show("no error rates: the trials that are scored are of one label")
        return
    curve = error_curve(scores, same)
    accepts, rejects = rates_at(verifier.threshold, scores, same)
    show(
        f"equal error rate {curve.eer()[0]:.2%}, minimum detection cost "
        f"{curve.min_dcf():.4f}; at the threshold {accepts:.2%} false "
        f"accepts, {rejects:.2%} false rejects"
    )


def record_of(folder, name):
    """Return the record of a file in a folder, or None if there is none."""
    file = folder / name
    return {"wav": str(file.resolve())} if file.is_file() else None


def embed_all(verifier, folder, clips):
    """Embed the files of a list.

    Returns
    -------
    units : dict
        The directions of the windows, ``[1, windows, size]``, of each file
        that has some.
    problems : str
        What is wrong with the other files, with the remedy; or empty.
    """
    units, problems = {}, []
    for clip in tqdm(clips, "Embedding", unit="file"):
        try:
            units[clip] = verifier.embedder.windows(folder / clip)
        except AudioError as error:
            problems.append(str(error))
    if not problems:
        return units, ""
    return units, (
        f": {len(problems)} of {len(clips)} files cannot be used:\n"
        f"{listed(problems, limit=20)}\nMend these files, or remove their "
        "trials"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
