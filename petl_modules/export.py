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

from petl_modules.exports import FORMATS, writer
from petl_modules.exports.base import name_base
from petl_modules.exports.pushing import push_to_hub, require_free
from petl_modules.inference.run_fold import ALL, BEST
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import (
    ExportError,
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
    parser.add_argument(
        "--fold",
        default=BEST,
        help="best, fold<k>, all (their logits' mean) or average (weights')",
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
        "--private", action="store_true", help="what is pushed, if it is new"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="files that are on the hub"
    )
    chosen = parser.parse_args(arguments)
    if chosen.push is None and (chosen.private or chosen.overwrite):
        parser.error("--private and --overwrite are of what is pushed: --push")
    log_to()
    try:
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
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()


def export(
    run,
    folder,
    format=FORMATS[0],
    backbone=None,
    *,
    fold=BEST,
    base_model=None,
    push=None,
    overwrite=False,
):
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
    fold : str
        Of a run: ``best``, a fold's name, ``all`` (the mean of their logits,
        in the format ``petl``), or ``average`` (the mean of their weights).
    base_model : str or None
        The name on the hub under which others find the backbone.
    push : str or None
        The name on the hub under which the folder will be found: the model
        card says so. ``petl_modules.exports.pushing.push_to_hub`` uploads it.
    overwrite : bool
        Whether files of that name may be replaced.

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
        (``ExportError``); or there are files under the name on the hub.
    """
    folder = Path(folder).absolute()
    if is_taken(folder):
        raise FileExistsError(f"{folder} is not empty: name a new folder")
    if fold == ALL and format != FORMATS[0]:
        raise ExportError(
            f"--fold all is the mean of the outputs of several models, and "
            f"{format} holds one: take --format petl, or --fold best"
        )
    if push is not None:
        require_free(push, overwrite)
    write = writer(format)
    trained = TrainedModel(run, backbone=backbone, merge=False, fold=fold)
    trained.shared_as = push
    if base_model is not None:
        name_base(trained, base_model)

    def build(whole):
        whole.mkdir()
        write(trained, whole)

    build_folder(folder, build)
    return sorted(file.name for file in folder.iterdir())


if __name__ == "__main__":
    main()
