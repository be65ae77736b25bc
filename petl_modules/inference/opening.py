"""Find what a name means: a run, a fold or a travelling folder."""

import os
from pathlib import Path

from petl_modules.backbones import is_path
from petl_modules.inference.run_fold import BEST, open_fold
from petl_modules.inference.travelling import fetch_travelling, open_travelling
from petl_modules.inference.travelling_config import CONFIG
from petl_modules.utils import HparamsError


def open_model(source, revision=None, backbone=None, fold=BEST):
    """Open a run, a fold or a travelling folder, here or on the hub.

    Arguments
    ---------
    source : str or pathlib.Path
        A folder; or ``owner/name``, a name on the Hugging Face hub, if its
        first part is no folder here.
    revision : str or None
        Of the hub: a branch, tag or commit. None: the newest.
    backbone : str or None
        Another place of the backbone than in training.
    fold : str
        Of a run; see ``petl_modules.inference.run_fold.open_fold``.

    Returns
    -------
    petl_modules.inference.opened.Opened

    Raises
    ------
    FileNotFoundError, UserError
        See ``petl_modules.inference.trained_model.TrainedModel``.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise HparamsError(
            f"a model is given by {source!r}: give the path of its folder, or "
            "its name on the Hugging Face hub"
        )
    folder = Path(source)
    here = folder.exists() or is_path(str(source))
    if here and revision is not None:
        raise HparamsError(
            f"{source} is a folder here, which has no revision {revision!r}: "
            "revisions are of names on the Hugging Face hub"
        )
    # A recipe file beside it, which can run code, is not read
    if here and not (folder / CONFIG).exists():
        return open_fold(folder, backbone, fold)
    if fold != BEST:
        raise HparamsError(
            f"{source} holds what was exported, so there is no fold '{fold}' "
            "to choose: name the folder of the run"
        )
    if not here:
        folder = fetch_travelling(str(source), revision)
    return open_travelling(folder, backbone)
