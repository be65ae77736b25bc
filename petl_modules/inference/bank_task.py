"""Open a trained model as a task of a bank, without its frozen encoder."""

import copy
import json
from typing import NamedTuple

from petl_modules.data import Windows, window_features
from petl_modules.data.loading import one_thread
from petl_modules.inference.opened import CLASSIFICATION
from petl_modules.inference.opening import open_model
from petl_modules.inference.skeleton import Skeleton
from petl_modules.inference.sounds import read_used
from petl_modules.models import load_trained, read_trained
from petl_modules.utils import CheckpointError, HparamsError


class BankTask(NamedTuple):
    """A task of a bank.

    Arguments
    ---------
    labels : list of str
        Names of the classes.
    features, windows
        See ``petl_modules.inference.trained_model.TrainedModel``.
    structure : str
        Models that share it differ in what was trained and in their classes.
    skeleton : Skeleton
        The modules of all tasks of this structure.
    state : dict
        What was trained, on the host.
    """

    labels: list
    features: object
    windows: Windows
    structure: str
    skeleton: Skeleton
    state: dict

    def prepare(self, sound, name=None):
        """Return the features of a sound, and what is odd about it.

        Arguments
        ---------
        sound, name
            See ``petl_modules.inference.sounds.read_sound``.

        Returns
        -------
        features : torch.Tensor
            ``[time, ...]``, or ``[windows, time, ...]``.
        remarks : tuple of str
        """
        clip = read_used(sound, self.features, self.windows, name)
        with one_thread():
            features = window_features(
                self.windows, self.features, clip.samples
            )
        return features, clip.remarks


def open_task(folder, bank):
    """Open a trained classifier as a task of a bank.

    The frozen encoder is loaded for the first task of a structure alone.

    Arguments
    ---------
    folder : str or pathlib.Path
        See ``petl_modules.inference.trained_model.TrainedModel``.
    bank : petl_modules.inference.task_bank.TaskBank
        The bank.

    Returns
    -------
    task : BankTask
    base : str
        The SHA-256 of the weights of the encoder that it was trained on.

    Raises
    ------
    FileNotFoundError, UserError
        See ``TaskBank.add``.
    """
    opened = open_model(folder, backbone=bank.backbone)
    if opened.task != CLASSIFICATION:
        raise HparamsError(
            f"{folder} is a model of {opened.task}: a bank takes classifiers"
        )
    if len(opened.weights) > 1:
        raise HparamsError(
            f"{folder} holds {len(opened.weights)} folds, whose outputs are "
            "averaged: a bank takes each fold as a task of its own, or an "
            "export of one"
        )
    ((file, recorded),) = opened.weights.items()
    opened.windows.require(opened.features, ["test"])
    state, about = read_trained(file, recorded, opened.remedy)
    settings = about["settings"]
    base = settings["encoder"]["backbone"].get("weights")
    if bank.base not in (None, base):
        raise HparamsError(
            f"{folder} was trained on an encoder whose weights have the "
            f"SHA-256 {base}, and the bank's, {bank.backbone}, has {bank.base}"
        )
    structure = _structure(opened, settings)
    # Copies: what was read is a part of the file's map in memory
    state = {name: value.clone() for name, value in state.items()}
    skeleton = bank.skeletons.get(structure)
    if skeleton is None:
        model = opened.make_model()
        load_trained(model, file, recorded, opened.remedy)
        skeleton = Skeleton(model, bank.device, bank.skeletons.values())
        # A single tensor left of the encoder's file would keep its whole map
        skeleton.activate(state)
    else:
        _require_fit(opened, file, state, settings, skeleton)
    return BankTask(
        labels=opened.labels,
        features=opened.features,
        windows=opened.windows,
        structure=structure,
        skeleton=skeleton,
        state=state,
    ), base


def _structure(opened, settings):
    """Return a text that tasks of one structure have in common."""
    settings = copy.deepcopy(settings)
    del settings["must_match"]
    settings["head"].pop("out_features", None)
    parts = opened.settings  # of a recipe file, or of a travelling folder
    parts = parts["parts"]["model"] if opened.recipe is None else parts
    # It changes the outputs a little, and no file of weights depends on it
    stored = str(parts["encoder"].get("backbone_dtype", "float32"))
    return json.dumps([settings, stored], sort_keys=True)


def _require_fit(opened, file, state, settings, skeleton):
    """Refuse trained weights that are not those of the task's model."""
    labels = settings["must_match"].get("labels", opened.labels)
    outputs = settings["head"].get("out_features", len(opened.labels))
    shapes = {name: value.shape for name, value in state.items()}
    others = [
        name
        for name in shapes.keys() | skeleton.shapes.keys()
        if not name.startswith("head.")
        and shapes.get(name) != skeleton.shapes.get(name)
    ]
    if labels != opened.labels or outputs != len(opened.labels):
        raise CheckpointError(
            f"{file} was trained for the classes {', '.join(labels)}, and "
            f"{opened.folder} has {', '.join(opened.labels)}"
        )
    if others:
        raise CheckpointError(
            f"{file} does not fit the model that its settings describe: "
            f"{', '.join(sorted(others)[:5])}. Another version of this project "
            "wrote it"
        )
