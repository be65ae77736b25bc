"""Write the embeddings of audio files by a trained run.

``python -m petl_modules.embed RUN_FOLDER file.wav folder ... --output x.safetensors``
"""

import argparse
import sys

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from tqdm import tqdm

from petl_modules.inference.embedder import Embedder
from petl_modules.inference.embedding_files import write_embeddings
from petl_modules.inference.sound_lists import expand_all
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import (
    AudioError,
    UserError,
    fail,
    printable,
    require_new,
    show,
)

__all__ = ["Embedder", "main"]


def main(arguments=None):
    """Run the command line: ``RUN_FOLDER file.wav ... --output FILE``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.embed")
    parser.add_argument(
        "run", help="folder of a run, a fold or an export, or a hub name"
    )
    parser.add_argument(
        "files", nargs="+", help="audio files, folders of them, or patterns"
    )
    parser.add_argument(
        "--output", required=True, help="a new .safetensors file"
    )
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--backbone", help="the encoder's new path, if moved")
    chosen = parser.parse_args(arguments)
    log_to()
    try:
        good = embed(chosen)
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    sys.exit(0 if good else 1)


def embed(chosen):
    """Write the embeddings; return whether all files could be read."""
    output = require_new(chosen.output)
    embedder = Embedder(chosen.run, chosen.device, chosen.backbone)
    vectors = {}
    files, problems = expand_all(chosen.files)
    for path in tqdm(dict.fromkeys(files), "Embedding", unit="file"):
        try:
            vectors[path] = embedder(path)[0]
        except AudioError as error:
            problems.append(error)
    for problem in problems:
        show(printable(f"error: {problem}"), sys.stderr)
    if vectors:
        write_embeddings(output, vectors, embedder.trained)
        show(printable(f"{len(vectors)} embeddings: {output}"))
    return not problems


if __name__ == "__main__":
    main(sys.argv[1:])
