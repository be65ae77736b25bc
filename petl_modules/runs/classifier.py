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
from petl_modules.runs.devices import check_device
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


def find_fold(run):
    """Return the folder of one trained fold.

    Arguments
    ---------
    run : str or pathlib.Path
        The folder of a fold, or the folder of a run. Of a run, the fold with
        the best validation score is taken, or the first fold if there was no
        validation.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    """
    run = Path(run)
    if all((run / name).is_file() for name in (WEIGHTS, "hyperparams.yaml")):
        return run
    if not run.is_dir():
        raise FileNotFoundError(f"there is no folder {run}")
    results = find_results(run)
    if not results:
        raise FileNotFoundError(
            f"no trained model in {run}: expected {WEIGHTS} and "
            "hyperparams.yaml, or finished folds (fold1/result.json, ...)"
        )

    form = {"best_metric": {"name": str, "mode": re.compile("min|max")}}
    recipe = _read_recipe(results[0].parent, form)
    best = recipe.settings["best_metric"]
    name = f"valid_{best['name']}"

    def importance(file):  # fixed epochs: there are no validation metrics
        fold = read_result(file, best["name"])["fold"]
        value = selection_value(best, {best["name"]: fold[name] or 0})
        return value, -fold["fold"], -fold.get("draw", 1)

    return max(results, key=importance).parent


def _read_recipe(folder, form):
    """Read a fold's recipe file, which must have values of some form.

    Names of older versions are replaced.
    """
    file = folder / "hyperparams.yaml"
    text = read_text(file)
    recipe = RecipeFile.parse(text, file)
    try:
        recipe = RecipeFile.parse(upgrade_recipe(text), file)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(file, f"it lacks {error}", "Restore it") from error
    recipe.require(form, file)
    return recipe


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
