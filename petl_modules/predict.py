"""Classify audio files with a trained run.

``python -m petl_modules.predict RUN_FOLDER file.wav folder '*.flac' ...``
"""

import argparse
import math
import sys
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.inference.audio_classifier import AudioClassifier
from petl_modules.inference.prediction_output import Guesses, Recording
from petl_modules.inference.score_plot import require_picture
from petl_modules.inference.sound_lists import expand_all
from petl_modules.inference.trained_model import find_fold
from petl_modules.inference.window_scores import best_of
from petl_modules.runs.logs import log_to, progress_bar, stop_logging
from petl_modules.utils import (
    AudioError,
    UserError,
    fail,
    printable,
    require_new,
    show,
    show_json,
    write_csv,
)

__all__ = ["AudioClassifier", "Classifier", "find_fold", "main"]

Classifier = AudioClassifier
MANY = 10  # files; more have a progress bar


def main(arguments=None):
    """Run the command line: ``RUN_FOLDER FILES... [--top N] ...``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.predict")
    parser.add_argument(
        "run", help="folder of a run, a fold or an export, or a hub name"
    )
    parser.add_argument(
        "files", nargs="+", help="audio files, folders of them, or patterns"
    )
    parser.add_argument("--top", type=int, default=5, help="classes a file")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object for each file"
    )
    parser.add_argument("--csv", help="a new CSV file for the classes")
    parser.add_argument(
        "--batch_size", type=int, default=16, help="clips that run together"
    )
    parser.add_argument(
        "--window",
        type=float,
        help="classify windows of so many seconds, of recordings of any length",
    )
    parser.add_argument(
        "--hop", type=float, help="seconds between windows; default: the window"
    )
    parser.add_argument(
        "--picture",
        help="a new .png, .pdf, .svg or .jpg of the scores over time",
    )
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--backbone", help="the encoder's new path, if moved")
    chosen = parser.parse_args(arguments)
    for option in ("top", "batch_size"):
        if (value := getattr(chosen, option)) < 1:
            parser.error(f"--{option} is {value}: at least 1 is needed")
    for option in ("window", "hop"):
        value = getattr(chosen, option)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{option} is {value}: give seconds above 0")
    if not chosen.window and (chosen.hop or chosen.picture is not None):
        parser.error("--hop and --picture go with --window SECONDS")
    log_to()
    try:
        good = classify(chosen)
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    sys.exit(0 if good else 1)


def classify(chosen):
    """Print the classes of each file; return whether all could be read."""
    table, picture = chosen.csv, chosen.picture
    if table is not None:
        table = require_new(table, "--csv")
    if picture is not None:
        picture = require_picture(picture)
    classifier = Classifier(chosen.run, chosen.device, chosen.backbone)
    files, errors = expand_all(chosen.files)
    if picture and len(files) != 1:
        raise UserError(f"--picture shows one file, and there are {len(files)}")
    is_text = not chosen.json and not table
    if is_text:
        show(f"model: {printable(classifier.folder)}")
    for error in errors:
        show(printable(f"error: {error}"), sys.stderr)
    good, rows, scored = not errors, [], 0
    for path, found in scores_of(classifier, files, chosen):
        if isinstance(found, AudioError):
            show(printable(f"error: {found}"), sys.stderr)
            good = False
            continue
        scored += 1
        if table:
            rows += [{"file": path, **row} for row in found.rows()]
        if chosen.json:
            show_json({"file": path, **found.content()})
        if is_text:
            show("\n".join([printable(path), *found.lines()]))
        if picture:
            found.write_picture(picture, Path(path).name)
            if is_text:
                show(printable(f"picture: {picture}"))
    if rows:
        write_csv(table, rows)
        if not chosen.json:
            show(printable(f"{scored} files: {table}"))
    return good


def scores_of(classifier, files, chosen):
    """Yield each path with what is shown of it, or its error."""
    yield from progress_bar(
        _scores(classifier, files, chosen),
        total=len(files),
        unit="file",
        disable=len(files) <= MANY,
    )


def _scores(classifier, files, chosen):
    """Yield each path with its ``Guesses`` or ``Recording``, or its error."""
    if chosen.window is None:
        each = classifier.each(zip(files, files), chosen.batch_size)
        for path, row in each:
            if not isinstance(row, AudioError):
                row = Guesses(best_of(row, classifier.labels, chosen.top))
            yield path, row
        return
    spans = {"window": chosen.window, "hop": chosen.hop}
    for path in files:
        try:
            scores = classifier(path, batch_size=chosen.batch_size, **spans)
            yield path, Recording(scores, chosen.top)
        except AudioError as error:
            yield path, error


if __name__ == "__main__":
    main()
