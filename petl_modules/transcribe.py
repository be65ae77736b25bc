"""Write what is said in audio files, by a trained run.

``python -m petl_modules.transcribe RUN_FOLDER file.wav ...``
"""

import argparse
import sys

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.inference.transcriber import Transcriber
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import (
    AudioError,
    UserError,
    fail,
    printable,
    show,
    show_json,
)

__all__ = ["Transcriber", "main"]


def main(arguments=None):
    """Run the command line: ``RUN_FOLDER file.wav ...``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.transcribe")
    parser.add_argument("run", help="folder of a run or of one fold")
    parser.add_argument("files", nargs="+", help="audio files of any length")
    parser.add_argument(
        "--timestamps",
        action="store_true",
        help="seconds where each word, or phone, begins and ends",
    )
    parser.add_argument(
        "--json", action="store_true", help="a JSON object for each file"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", help="its new path, if it was moved")
    chosen = parser.parse_args(arguments)
    log_to()
    try:
        good = transcribe(chosen)
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    sys.exit(0 if good else 1)


def transcribe(chosen):
    """Print the text of each file; return whether all could be read."""
    transcriber = Transcriber(chosen.run, chosen.device, chosen.backbone)
    good = True
    for path in chosen.files:
        try:
            words = transcriber.words(path)
        except AudioError as error:
            show(printable(f"error: {error}"), sys.stderr)
            good = False
            continue
        text = " ".join(word for word, *_ in words)
        if chosen.json:
            content = {"file": path, "text": text}
            if chosen.timestamps:
                keys = "word", "start", "end"
                content["words"] = [
                    dict(zip(keys, (word, round(start, 3), round(end, 3))))
                    for word, start, end in words
                ]
            show_json(content)
            continue
        show(f"{printable(path)}\t{printable(text)}")
        if chosen.timestamps:
            for word, start, end in words:
                show(f"{start:9.2f} {end:9.2f}  {printable(word)}")
    return good


if __name__ == "__main__":
    main(sys.argv[1:])
