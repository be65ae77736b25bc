"""Combine what was learnt by several models of one encoder: an arithmetic.

``python -m petl_modules.combine RUN RUN DIR --weights 0.5 0.5`` writes the
weighted sum of two trained models as a folder that travels; see
``petl_modules.models.arithmetic`` for what can be summed.
"""

import argparse
import copy
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules import models
from petl_modules.exports.command import writing
from petl_modules.exports.exporting import write_folder
from petl_modules.inference.members import Ensemble, set_state
from petl_modules.inference.plain import from_plain
from petl_modules.inference.trained_model import VERIFICATION, TrainedModel
from petl_modules.models import trained_state, weights_sha256
from petl_modules.utils import (
    HparamsError,
    printable,
    require_new_folder,
    show,
)

__all__ = ["combine", "main"]

EVALUATE = (
    "Blocks that are not linear in their weights were summed: of models that "
    "did not start alike, this may be as bad as chance. Evaluate it before "
    "you use it."
)


def main(arguments=None):
    """Run the command line: ``RUN [RUN ...] DIR --weights W [W ...]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.combine")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run, a fold or an export"
    )
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="W",
        help="one for each run, such as -1 to negate; without it, the mean",
    )
    parser.add_argument(
        "--rank", type=int, help="cut LoRA to it; without it, nothing is lost"
    )
    parser.add_argument(
        "--head",
        type=int,
        metavar="N",
        help="keep the head of the run of this number, from 0",
    )
    parser.add_argument("--backbone", help="the encoder's new path, if moved")
    chosen = parser.parse_args(arguments)
    with writing():
        found = combine(
            chosen.runs,
            chosen.folder,
            chosen.weights,
            rank=chosen.rank,
            head=chosen.head,
            backbone=chosen.backbone,
        )
    show(printable(f"wrote {Path(chosen.folder).absolute()}"))
    if chosen.rank is not None:
        show(f"rank {chosen.rank} leaves out {found.error:.2%} of LoRA's norm")
    if found.nonlinear:
        show(EVALUATE)


def combine(runs, folder, weights=None, *, rank=None, head=None, backbone=None):
    """Write the weighted sum of trained models as a folder that travels.

    Arguments
    ---------
    runs : list of str or pathlib.Path
        See ``petl_modules.inference.trained_model.TrainedModel``.
    folder : str or pathlib.Path
        A new or empty folder.
    weights : list of float or None
        One for each run. None: their mean.
    rank, head
        See ``petl_modules.models.combine``.
    backbone : str or None
        Another place of the backbone than in training.

    Returns
    -------
    petl_modules.models.Combined

    Raises
    ------
    FileExistsError
        If the folder is not empty.
    UserError
        See ``TrainedModel``; or the models cannot be summed.
    """
    folder = Path(folder).absolute()
    require_new_folder(folder)
    weights = weights or [1 / len(runs)] * len(runs)
    read = [TrainedModel(run, backbone=backbone, merge=False) for run in runs]
    kept = read[head] if head is not None and head < len(read) else read[0]
    _require_tasks(read)
    fresh = _build(kept, kept.parts["model"])
    found = models.combine(
        [(trained_state(run.model), run.model.settings()) for run in read],
        weights,
        rank=rank,
        head=head,
        base=trained_state(fresh),
    )
    said = " + ".join(
        f"{weight:g} x {run.folder.parent.name}/{run.folder.name}"
        for weight, run in zip(weights, read)
    )
    _replace(kept, found, said)
    write_folder(kept, folder)
    return found


def _require_tasks(read):
    """Refuse models of different tasks, and those that a sum cannot carry."""
    tasks = [trained.task for trained in read]
    if len({*tasks}) > 1:
        raise HparamsError(
            f"these are models of different tasks: {', '.join(tasks)}"
        )
    if tasks[0] == VERIFICATION:
        raise HparamsError(
            "models of speaker verification have a threshold, which a sum of "
            "them would need anew from a validation: they are not combined"
        )
    for trained in read:
        if isinstance(trained.model, Ensemble):
            raise HparamsError(
                f"{trained.folder} averages the outputs of "
                f"{len(trained.members)} folds: combine the folds themselves"
            )


def _build(trained, parts):
    """Return the model of some parts, without what was trained."""
    place = f"{trained.folder}: the model"
    return from_plain(parts, place, str(trained.backbone)).eval()


def _replace(trained, found, said):
    """Put a weighted sum in the place of what one model has learnt."""
    parts = copy.deepcopy(trained.parts)
    encoder = parts["model"]["encoder"]
    for method, said_of in zip(
        encoder["methods"], found.settings["encoder"]["methods"]
    ):
        low_rank = models.low_rank_of(said_of)
        if low_rank is not None:
            place = method if said_of["class"] == "LoRA" else method["block"]
            place.update(rank=low_rank["rank"], alpha=low_rank["alpha"])
    trained.model = _build(trained, parts["model"])
    set_state(trained.model, found.state)
    trained.parts = parts
    trained.weights_sha256 = weights_sha256(trained.model)
    trained.about = {
        **{k: v for k, v in trained.about.items() if k != "metric"},
        "fold": None,
        "combined": said,
        "protocol": None,
        "folds": [],
    }


if __name__ == "__main__":
    main()
