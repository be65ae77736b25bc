"""Write a trained model for other libraries, or as one folder that travels.

``python -m petl_modules.export RUN DIR --format petl``, or ``transformers``,
``peft``, ``onnx``, ``pt2``, ``speechbrain``. ``--push owner/name`` uploads it to
the Hugging Face hub as well.
"""

import argparse
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.exports import FORMATS
from petl_modules.exports.command import writing
from petl_modules.exports.exporting import export
from petl_modules.exports.pushing import push_to_hub
from petl_modules.inference.run_fold import BEST
from petl_modules.utils import printable, show

__all__ = ["export", "main"]


def main(arguments=None):
    """Run the command line: ``RUN DIR --format FORMAT``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.export")
    parser.add_argument(
        "run", help="folder of a run, a fold or an export, or a hub name"
    )
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="default: petl; see docs/exports.md",
    )
    parser.add_argument("--backbone", help="the encoder's new path, if moved")
    parser.add_argument(
        "--fold",
        default=BEST,
        help="best by validation (the default), fold<k>, all (mean of the "
        "folds' logits) or average (of their weights)",
    )
    parser.add_argument(
        "--base_model",
        metavar="OWNER/NAME",
        help="where on the hub others find the base, if it was a folder here",
    )
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="upload it to the hub as well"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="with --push: make a new repository private",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="with --push: replace files that are on the hub",
    )
    chosen = parser.parse_args(arguments)
    if chosen.push is None and (chosen.private or chosen.overwrite):
        parser.error("--private and --overwrite are of what is pushed: --push")
    with writing():
        names = export(
            chosen.run,
            chosen.folder,
            chosen.format,
            chosen.backbone,
            fold=chosen.fold,
            base_model=chosen.base_model,
            push=chosen.push,
            overwrite=chosen.overwrite,
        )
        show(printable(f"wrote to {Path(chosen.folder).absolute()}:"))
        for name in names:
            show(f"    {name}")
        if chosen.push is not None:
            settings = chosen.push, chosen.private, chosen.overwrite
            show(printable(f"pushed: {push_to_hub(chosen.folder, *settings)}"))


if __name__ == "__main__":
    main()
