"""What opening a folder gives, whatever kind of folder it is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CLASSIFICATION = "classification"
VERIFICATION = "speaker verification"
RECOGNITION = "speech recognition"


class Opened(NamedTuple):
    """A model as its folder describes it, and its weights' files.

    Arguments
    ---------
    folder : pathlib.Path
        Where it is.
    task : str
        ``CLASSIFICATION``, ``VERIFICATION`` or ``RECOGNITION``.
    settings : dict
        Values of the recipe file; of a travelling folder, its ``config.json``.
    features, windows, labels
        See ``petl_modules.inference.trained_model.TrainedModel``.
    make_model : callable
        Loads the base and returns a ``petl_modules.models.TunedModel``; what
        was trained is not loaded.
    base : str or None
        The frozen encoder: a path, or ``owner/name@commit``. None: all was
        trained from scratch.
    weights : dict
        By file of trained weights, the digest that was recorded, or None.
    remedy : str
        What to do if one of these is damaged.
    recipe : petl_modules.runs.RecipeFile or None
        None: it is a travelling folder.
    """

    folder: Path
    task: str
    settings: dict
    features: object
    windows: object
    labels: list
    make_model: Callable
    base: str | None
    weights: dict
    remedy: str
    recipe: object = None
