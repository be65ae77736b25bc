"""Write a trained model in a format, whole or not at all."""

import logging
from pathlib import Path

from petl_modules.exports import FORMATS, writer
from petl_modules.exports.cards import base_of, name_base
from petl_modules.exports.pushing import require_free
from petl_modules.inference.run_fold import ALL, BEST
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.utils import ExportError, build_folder, require_new_folder

logger = logging.getLogger(__name__)

WITHOUT_BASE = ("petl", "peft", "speechbrain")  # what opens them finds it


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
    require_new_folder(folder)
    if fold == ALL and format != FORMATS[0]:
        raise ExportError(
            f"--fold all is the mean of the outputs of several models, and "
            f"{format} holds one: take --format petl, or --fold best"
        )
    if push is not None:
        require_free(push, overwrite)
    writer(format)  # a library that is missing is named before long work
    trained = TrainedModel(run, backbone=backbone, merge=False, fold=fold)
    trained.shared_as = push
    if base_model is not None:
        name_base(trained, base_model)

    write_folder(trained, folder, format)
    return sorted(file.name for file in folder.iterdir())


def write_folder(trained, folder, format=FORMATS[0]):
    """Write an opened model in a format, atomically; tell of its base.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        LoRA unmerged.
    folder : pathlib.Path
        A new or empty folder.
    format : str
        One of ``petl_modules.exports.FORMATS``.

    Raises
    ------
    ExportError
        If the format cannot carry the model.
    """
    write = writer(format)

    def build(whole):
        whole.mkdir()
        write(trained, whole)

    build_folder(folder, build)
    base = base_of(trained)
    if format in WITHOUT_BASE and base.name and not base.is_published:
        logger.warning(
            "the base is named by its path, %s, which others do not have: "
            "--base_model owner/name of petl_modules.export gives its name on "
            "the hub",
            base.name,
        )
