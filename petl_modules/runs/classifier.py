"""A trained run as a classifier of audio files."""

import re
from pathlib import Path

import torch
from speechbrain.utils.logger import get_logger

from petl_modules.data import read_clip
from petl_modules.methods import merge_lora
from petl_modules.models import (
    WEIGHTS,
    TunedModel,
    load_trained,
    upgrade_recipe,
)
from petl_modules.runs.checks import check_device
from petl_modules.runs.fold_files import (
    read_result,
    recorded_sha256,
    require_same_recipe,
)
from petl_modules.runs.plan import find_results
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.yaml_text import read_text
from petl_modules.training import selection_value
from petl_modules.utils import AudioError, damaged

# Of the recipe file of a trained fold
FORM = {
    "features": object,
    "labels": [str],
    "model": object,
    "encoder": {"backbone": {"source": str}},
}

logger = get_logger(__name__)


class Classifier:
    """A trained model with its features and class names.

    Arguments
    ---------
    run : str or pathlib.Path
        See ``find_fold``. The file ``hyperparams.yaml`` can run code: load
        only runs that you trust.
    device : str
        Device of the model.
    backbone : str or None
        Another place of the backbone than in training.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        If the backbone cannot be loaded, the weights do not fit it, or there
        is no such device.
    """

    def __init__(self, run, device="cpu", backbone=None):
        check_device(device)
        self.folder = find_fold(run)
        require_same_recipe(self.folder)
        recipe = _read_recipe(self.folder, FORM)
        if backbone is not None:
            encoder = recipe.tree["encoder"]
            encoder["backbone"]["source"] = str(backbone)
            recipe.update({"encoder": encoder})
        made = recipe.make(["features", "labels", "model"])
        right = {
            "features": callable(made["features"]),
            "model": isinstance(made["model"], TunedModel),
        }
        for key in [key for key in right if not right[key]]:
            raise damaged(
                self.folder / "hyperparams.yaml",
                f"{key} makes a {type(made[key]).__name__}",
                "Restore it",
            )
        self.features, self.labels = made["features"], made["labels"]
        self.model = made["model"].to(device).eval()
        self.device = device
        sha256 = recorded_sha256(self.folder)
        load_trained(self.model, self.folder / WEIGHTS, sha256)
        merge_lora(self.model)

    @torch.inference_mode()
    def __call__(self, path, top=5):
        """Classify one file.

        What is odd about the file is logged as a warning, also if it is longer
        than what is used of it.

        Arguments
        ---------
        path : str or pathlib.Path
            An audio file of any rate and number of channels.
        top : int
            How many classes to return.

        Returns
        -------
        list of tuple
            Labels and their probabilities, the most probable first.

        Raises
        ------
        petl_modules.utils.AudioError
            If the file cannot be used, or the model makes no finite numbers
            of it.
        """
        longest = getattr(self.features, "longest", None)
        clip = read_clip(path, self.features.sample_rate, longest)
        for remark in clip.remarks:
            logger.warning(f"{path}: {remark}")
        features = self.features(clip.samples)
        logits = self.model(features.unsqueeze(0).to(self.device))
        if not logits.isfinite().all():
            raise AudioError(
                f"{path}: the model's outputs for it are not finite, so it "
                "has no class. Is the sound far louder than those of training?"
            )
        best = logits[0].softmax(-1).topk(min(top, len(self.labels)))
        labels = [self.labels[i] for i in best.indices.tolist()]
        return list(zip(labels, best.values.tolist()))
