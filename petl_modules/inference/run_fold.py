"""Open a trained fold of a run, by its recipe file."""

import re
from functools import partial
from pathlib import Path

from petl_modules.backbones import is_path
from petl_modules.data import Windows
from petl_modules.inference.opened import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
    Opened,
)
from petl_modules.models import WEIGHTS, TunedModel, upgrade_recipe
from petl_modules.models.weights_file import REMEDY
from petl_modules.runs.fold_files import (
    RESULT,
    read_result,
    recorded_sha256,
    remedy,
    require_unchanged,
)
from petl_modules.runs.plan import find_results
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.yaml_text import read_text
from petl_modules.training import selection_value
from petl_modules.utils import HparamsError, damaged, read_json

RECIPE = "hyperparams.yaml"
# Of the recipe file of a trained fold
FORM = {
    "features": object,
    "labels": [str],
    "model": object,
    "encoder": {"backbone?": {"source": str}},
}
METRIC = {"best_metric": {"name": str, "mode": re.compile("min|max")}}
# Tasks by the key that the recipe files of this task alone have
TASKS = {"scoring": VERIFICATION, "units": RECOGNITION}
BEST, ALL, AVERAGE = "best", "all", "average"


def find_fold(run, fold=BEST):
    """Return the folder of one trained fold.

    Arguments
    ---------
    run : str or pathlib.Path
        The folder of a fold, or the folder of a run.
    fold : str
        Of a run, ``best``: the fold with the best validation score is taken,
        or the first fold if there was no validation. Or a fold's name, such
        as ``fold3``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    HparamsError
        If there is no such fold.
    """
    run = Path(run)
    if is_fold(run):
        if fold not in (BEST, run.name):
            raise HparamsError(
                f"{run} is one fold, so there is no '{fold}' in it: name the "
                "folder of the run"
            )
        return run
    folds = find_folds(run)
    if fold != BEST:
        return _named(run, folds, fold)
    recipe = read_recipe(folds[0], METRIC)
    best = recipe.settings["best_metric"]
    name = f"valid_{best['name']}"

    def importance(folder):  # fixed epochs: there are no validation metrics
        fold = read_result(folder / RESULT, best["name"])["fold"]
        value = selection_value(best, {best["name"]: fold[name] or 0})
        return value, -fold["fold"], -fold.get("draw", 1)

    return max(folds, key=importance)


def is_fold(folder):
    """Return whether a folder holds a trained fold."""
    return all((folder / name).is_file() for name in (WEIGHTS, RECIPE))


def find_folds(run):
    """Return the folders of all finished folds of a run.

    Arguments
    ---------
    run : pathlib.Path
        The run's folder.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"there is no folder {run}")
    if results := find_results(run):
        return [file.parent for file in results]
    raise FileNotFoundError(
        f"no trained model in {run}: expected {WEIGHTS} and {RECIPE} (of a "
        "fold) or config.json (of an exported model), or finished folds "
        "(fold1/result.json, ...)"
    )


def _named(run, folds, name):
    """Return the fold of a name."""
    names = [folder.name for folder in folds]
    if name not in names:
        raise HparamsError(
            f"{run} has no finished fold '{name}'; it has {', '.join(names)}"
        )
    return folds[names.index(name)]


def read_recipe(folder, form):
    """Read a fold's recipe file; names of older versions are replaced.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    form : dict
        What the file must have, see ``petl_modules.utils.forms``.

    Returns
    -------
    petl_modules.runs.RecipeFile

    Raises
    ------
    UserError
        The file is damaged, or has another form.
    """
    file = folder / RECIPE
    text = read_text(file)
    recipe = RecipeFile.parse(text, file)
    try:
        recipe = RecipeFile.parse(upgrade_recipe(text), file)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(file, f"it lacks {error}", "Restore it") from error
    recipe.require(form, file)
    return recipe


def open_fold(run, backbone=None, fold=BEST):
    """Open a trained fold, or all folds of a run.

    Arguments
    ---------
    run, fold
        See ``find_fold``; or ``all`` or ``average``, for which the model is
        that of the first fold, and the weights are those of each.
    backbone : str or None
        Another place of the backbone than in training.

    Returns
    -------
    petl_modules.inference.opened.Opened

    Raises
    ------
    FileNotFoundError, UserError
        See ``petl_modules.inference.trained_model.TrainedModel``.
    """
    run = Path(run)
    if fold in (ALL, AVERAGE):
        if is_fold(run):
            raise HparamsError(
                f"{run} is one fold, and '{fold}' is of several: name the "
                "folder of the run"
            )
        folds = find_folds(run)
        folder = folds[0]
    else:
        folder = find_fold(run, fold)
        folds = [folder]
    for one in folds:
        require_unchanged(one, RECIPE)
    recipe = read_recipe(folder, FORM)
    base = _move_base(recipe, folder, backbone)
    settings = recipe.settings
    tasks = [TASKS[key] for key in TASKS if key in settings]
    key = "test_features" if "test_features" in settings else "features"
    _require_alike(settings, folds, (key, "windows"))
    made = recipe.make([key, "labels", *{"windows"} & {*settings}])
    windows = made.get("windows") or Windows()
    if not callable(made[key]):
        raise _other_kind(folder, key, made[key])
    if not isinstance(windows, Windows):
        raise _other_kind(folder, "windows", windows)
    return Opened(
        folder=folder,
        task=tasks[0] if tasks else CLASSIFICATION,
        recipe=recipe,
        settings=settings,
        features=made[key],
        windows=windows,
        labels=made["labels"],
        make_model=partial(_make_model, recipe, folder),
        base=base,
        weights={one / WEIGHTS: recorded_sha256(one) for one in folds},
        remedy=REMEDY,
    )


def _require_alike(settings, folds, keys):
    """Refuse folds of which one makes other inputs of a sound than the first."""
    for fold in folds[1:]:
        others = read_recipe(fold, FORM).settings
        for key in keys:
            if others.get(key) != settings.get(key):
                raise HparamsError(
                    f"{fold} and {folds[0]} have other values of {key}, so "
                    "they do not read a sound alike: open one of them"
                )


def _make_model(recipe, folder):
    """Make the model of a fold's recipe file."""
    model = recipe.make(["model"])["model"]
    if not isinstance(model, TunedModel):
        raise _other_kind(folder, "model", model)
    return model


def _other_kind(folder, key, made):
    """Return the error for a recipe file that makes something else."""
    reason = f"{key} makes a {type(made).__name__}"
    return damaged(folder / RECIPE, reason, "Restore it")


def _move_base(recipe, folder, backbone):
    """Put another place of the backbone into a recipe; return the base."""
    base = recipe.settings["encoder"].get("backbone", {}).get("source")
    if backbone is None:
        return base
    if base is None:
        raise HparamsError(
            f"{folder} was trained from scratch: it has no backbone that could "
            f"be '{backbone}'"
        )
    encoder = recipe.tree["encoder"]
    encoder["backbone"]["source"] = str(backbone)
    recipe.update({"encoder": encoder})
    # A name on the hub stays what others can load
    return str(backbone) if is_path(base.partition("@")[0]) else base


def read_threshold(folder):
    """Return the threshold that a fold of verification has found.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.

    Returns
    -------
    float

    Raises
    ------
    DataError
        Its ``result.json`` is damaged or was changed.
    """
    form = {"fold": {"threshold": float}}
    result = read_json(folder / RESULT, form, remedy(folder))
    require_unchanged(folder, RESULT)
    return result["fold"]["threshold"]
