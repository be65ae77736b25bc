"""Classify audio files with a trained run.

``python -m petl_modules.predict RUN_FOLDER file.wav ...``
"""

import argparse
import sys

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.inference.classifier import Classifier
from petl_modules.inference.trained_model import find_fold
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import AudioError, UserError, fail, printable, show

__all__ = ["Classifier", "find_fold", "main"]


def main(arguments=None):
    """Run the command line: ``RUN_FOLDER file.wav ... [--top N]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.predict")
    parser.add_argument("run", help="folder of a run or of one fold")
    parser.add_argument("files", nargs="+", help="audio files")
    parser.add_argument("--top", type=int, default=5, help="classes to print")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", help="its new path, if it was moved")
    chosen = parser.parse_args(arguments)
    if chosen.top < 1:
        parser.error(f"--top is {chosen.top}: at least 1 is needed")
    log_to()
    try:
        good = classify(chosen)
    finally:
        stop_logging()
    sys.exit(0 if good else 1)


def classify(chosen):
    """Print the classes of each file; return whether all could be read."""
    good = True
    try:
        classifier = Classifier(chosen.run, chosen.device, chosen.backbone)
    except (UserError, OSError) as error:
        fail(error)
    show(f"model: {printable(classifier.folder)}")
    for path in chosen.files:
        try:
            guesses = classifier(path, chosen.top)
        except AudioError as error:
            show(printable(f"error: {error}"), sys.stderr)
            good = False
            continue
        show(printable(path))
        for label, probability in guesses:
            show(f"  {probability:7.2%}  {printable(label)}")
    return good


if __name__ == "__main__":
    main()
