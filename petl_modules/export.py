"""Write a trained model for other libraries, or as one folder that travels.

``python -m petl_modules.export RUN DIR --format petl``, or ``transformers``,
``peft``, ``onnx``, ``pt2``, ``speechbrain``.
"""

import argparse
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.exports import FORMATS, writer
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import (
    UserError,
    build_folder,
    fail,
    is_taken,
    printable,
    show,
)

__all__ = ["export", "main"]


def main(arguments=None):
    """Run the command line: ``RUN DIR --format FORMAT``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.export")
    parser.add_argument("run", help="folder of a run or of one fold")
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    parser.add_argument("--backbone", help="its new path, if it was moved")
    chosen = parser.parse_args(arguments)
    log_to()
    try:
        names = export(
            chosen.run, chosen.folder, chosen.format, chosen.backbone
        )
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    show(printable(f"wrote to {Path(chosen.folder).absolute()}:"))
    for name in names:
        show(f"    {name}")


def export(run, folder, format=FORMATS[0], backbone=None):
    """Write a trained model in a format, atomically.

    Arguments
    ---------
    run : str or pathlib.Path
        See ``petl_modules.inference.trained_model.TrainedModel``.
    folder : str or pathlib.Path
        A new or empty folder.
    format : str
        One of ``petl_modules.exports.FORMATS``.
    backbone : str or None
        Another place of the backbone than in training.

    Returns
    -------
    list of str
        The files in the folder.

    Raises
    ------
    FileExistsError
        If the folder is not empty.
    UserError
        See ``TrainedModel``; or the format cannot carry the model
        (``ExportError``).
    """
    folder = Path(folder).absolute()
    if is_taken(folder):
        raise FileExistsError(f"{folder} is not empty: name a new folder")
    write = writer(format)
    trained = TrainedModel(run, backbone=backbone, merge=False)

    def build(whole):
        whole.mkdir()
        write(trained, whole)

    build_folder(folder, build)
    return sorted(file.name for file in folder.iterdir())


if __name__ == "__main__":
    main()
