"""A trained model, opened, with what prepares its input."""

import re
from pathlib import Path

from petl_modules.data import Windows, read_clip, window_features
from petl_modules.methods import merge_lora
from petl_modules.models import (
    WEIGHTS,
    TunedModel,
    load_trained,
    upgrade_recipe,
    weights_sha256,
)
from petl_modules.runs.devices import check_device
from petl_modules.runs.fold_files import (
    read_result,
    recorded_sha256,
    require_unchanged,
)
from petl_modules.runs.plan import find_results
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.yaml_text import read_text
from petl_modules.training import selection_value
from petl_modules.utils import HparamsError, damaged

# Of the recipe file of a trained fold
FORM = {
    "features": object,
    "labels": [str],
    "model": object,
    "encoder": {"backbone": {"source": str}},
}
# Tasks by the key that the recipe files of this task alone have
CLASSIFICATION = "classification"
VERIFICATION = "speaker verification"
RECOGNITION = "speech recognition"
TASKS = {"scoring": VERIFICATION, "units": RECOGNITION}
COMMANDS = {
    CLASSIFICATION: "predict",
    VERIFICATION: "verify",
    RECOGNITION: "transcribe",
}


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


class TrainedModel:
    """The selected model of a fold, with what prepares its input.

    Arguments
    ---------
    run : str or pathlib.Path
        See ``find_fold``. The file ``hyperparams.yaml`` can run code: load
        only runs that you trust.
    device : str
        Device of the model.
    backbone : str or None
        Another place of the backbone than in training.
    merge : bool
        Whether LoRA is merged into the backbone's weights.

    Attributes
    ----------
    folder : pathlib.Path
        The fold's folder.
    recipe : petl_modules.runs.RecipeFile
        The fold's recipe file.
    settings : dict
        Its values, references resolved, no objects made.
    task : str
        ``CLASSIFICATION``, ``VERIFICATION`` or ``RECOGNITION``.
    features : callable
        See ``petl_modules.data.load_features``; of a test.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.
    labels : list of str
        What the head's outputs stand for.
    model : petl_modules.models.TunedModel
        In eval mode.
    weights_sha256 : str
        Digest of the trained weights.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        If the backbone cannot be loaded, the weights do not fit it, or there
        is no such device.
    """

    def __init__(self, run, device="cpu", backbone=None, merge=True):
        check_device(device)
        self.folder = find_fold(run)
        require_unchanged(self.folder, "hyperparams.yaml")
        recipe = _read_recipe(self.folder, FORM)
        if backbone is not None:
            encoder = recipe.tree["encoder"]
            encoder["backbone"]["source"] = str(backbone)
            recipe.update({"encoder": encoder})
        self.recipe, self.settings = recipe, recipe.settings
        self.base = self.settings["encoder"]["backbone"]["source"]
        tasks = [TASKS[key] for key in TASKS if key in self.settings]
        self.task = tasks[0] if tasks else CLASSIFICATION
        features = "features"
        if "test_features" in self.settings:
            features = "test_features"
        keys = [features, "labels", "model"]
        made = recipe.make([*keys, *{"windows"} & self.settings.keys()])
        self.features, self.labels = made[features], made["labels"]
        self.windows = made.get("windows") or Windows()
        right = {
            features: callable(self.features),
            "model": isinstance(made["model"], TunedModel),
            "windows": isinstance(self.windows, Windows),
        }
        for key in [key for key in right if not right[key]]:
            raise damaged(
                self.folder / "hyperparams.yaml",
                f"{key} makes a {type(made[key]).__name__}",
                "Restore it",
            )
        self.windows.require(self.features, ["test"])
        self.device = device
        self.model = made["model"].to(device).eval()
        recorded = recorded_sha256(self.folder)
        load_trained(self.model, self.folder / WEIGHTS, recorded)
        self.weights_sha256 = weights_sha256(self.model)
        if merge:
            merge_lora(self.model)

    def require_task(self, *tasks):
        """Refuse a run of another task; the error names that one's command.

        Arguments
        ---------
        *tasks : str
            Possible tasks.

        Raises
        ------
        HparamsError
            If the run's task is none of them.
        """
        if self.task not in tasks:
            raise HparamsError(
                f"{self.folder} is no run of {' or '.join(tasks)}, but of "
                f"{self.task}, for which there is python -m "
                f"petl_modules.{COMMANDS[self.task]}"
            )

    def read(self, path):
        """Read as much of a file as is used.

        Arguments
        ---------
        path : str or pathlib.Path
            An audio file of any rate and number of channels.

        Returns
        -------
        petl_modules.data.audio.Clip
        """
        longest = getattr(self.features, "longest", None)
        if self.windows.test != 1:  # windows of the whole clip
            longest = None
        return read_clip(path, self.features.sample_rate, longest)

    def features_of(self, clip):
        """Return a clip's features as a batch on the model's device.

        Arguments
        ---------
        clip : petl_modules.data.audio.Clip
            The result of ``read``.

        Returns
        -------
        torch.Tensor
            ``[1, time, ...]``, or ``[1, windows, time, ...]``.
        """
        found = window_features(self.windows, self.features, clip.samples)
        return found.unsqueeze(0).to(self.device)
