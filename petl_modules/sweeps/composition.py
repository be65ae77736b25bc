"""One composition of a sweep: a recipe, a method and a base, checked once."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from petl_modules.backbones import checkpoint_name
from petl_modules.runs.checks import check_keys, check_values
from petl_modules.runs.command_line import compose
from petl_modules.runs.input_keys import fill_in_metric
from petl_modules.runs.yaml_text import dump_yaml
from petl_modules.sweeps.fold_counts import count_folds, require_folds
from petl_modules.sweeps.miniature import miniature_options
from petl_modules.sweeps.recipes import find_file, find_recipe
from petl_modules.sweeps.value_checks import (
    check_values_of_grid,
    require_backbones,
    require_data_folder,
    require_validation,
)
from petl_modules.utils import HparamsError, noting


class Composition(NamedTuple):
    """A recipe file as the runs of one data set, method and base have it.

    Arguments
    ---------
    name : str
        The recipe's name.
    script, file : str
        Its ``train.py`` and the method's YAML file.
    options : dict
        Texts of the command line by key, without those of the grid.
    settings : dict
        The recipe file's values, with one value of each of the grid's keys.
    split : dict
        Number of folds by the values of ``split_keys``. None: it is not known
        before the data are read.
    split_keys : list of str
        Keys of the grid on which the number of folds depends.
    preparation : str
        Runs with the same text prepare the same data.
    """

    name: str
    script: str
    file: str
    options: dict
    settings: dict
    split: dict
    split_keys: list
    preparation: str

    def folds_of(self, point):
        """Return the folds of a point of the grid; None: not known."""
        if folds := self.settings.get("folds"):
            return [*folds]
        number = self.split[tuple(point[key] for key in self.split_keys)]
        return None if number is None else [*range(1, number + 1)]

    def backbone_of(self, point):
        """Return the name of a point's encoder."""
        if "backbone" in point:
            return checkpoint_name(point["backbone"])
        return self.settings["backbone_name"]


def compose_for(sweep, kind, values):
    """Compose the recipe file of some points, and check all of their values.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    kind : tuple of str
        Data set, method, and base or None.
    values : dict
        By each other key of the grid, the texts that occur.

    Returns
    -------
    Composition

    Raises
    ------
    UserError
        Names, keys or values are wrong; has a text for each of them.
    """
    folder, mistakes = find_recipe(kind[0], sweep.file.parent), []
    with noting(mistakes):
        require_data_folder(sweep, *kind[:2])
    with noting(mistakes):
        file, options = _options_for(sweep, folder, kind, values)
        recipe = _compose_one(sweep, folder, file, options, values)
        settings, script = recipe.settings, str(folder / "train.py")
        check_keys(settings, script)
        check_values(settings)
        backbones = [settings["backbone"], *values.get("backbone", [])]
        require_backbones(backbones, sweep)
        check_values_of_grid(settings, values, file.name)
        require_validation(sweep, settings)
        keys, split = count_folds(recipe, values)
        require_folds(settings.get("folds") or [], split.values())
    if mistakes:
        raise HparamsError(*mistakes)
    prepare = dump_yaml({"prepare": settings["prepare"]})
    options.pop("folds", None)
    return Composition(
        folder.name,
        script,
        str(file),
        options,
        settings,
        split,
        keys,
        f"{script}\n{prepare}",
    )


def _options_for(sweep, folder, kind, values):
    """Return a method's file, and the options that the grid does not have."""
    dataset, method, base = kind
    file = find_file(folder, "method", method)
    options = sweep.options_of(dataset, method)
    base = base or options.pop("base", None)
    if base:
        base = find_file(folder, "base", base).name
        options = {"base": base, **options}
    if sweep.miniature:
        suitable, needed = miniature_options(sweep, dataset, file, base)
        options = {**suitable, **options, **needed}
    manifests = str(Path(sweep.output_folder, folder.name, "manifests"))
    options = {"manifest_folder": manifests, **options}
    if dataset in sweep.data:  # staged data have a folder on each machine
        options["data_folder"] = sweep.data[dataset]
    return file, {k: v for k, v in options.items() if k not in values}


def _compose_one(sweep, folder, file, options, values):
    """Compose a recipe file with one value of each key of the grid."""
    # A whole number would hide that its key takes others, too
    first = {key: min(texts, key=_is_whole) for key, texts in values.items()}
    words = [str(file)]
    for key, text in {**options, **first}.items():
        words += [f"--{key}", text]
    with working_in(sweep.file.parent):
        recipe, _ = compose(words, folder)
    fill_in_metric(recipe)
    return recipe


@contextlib.contextmanager
def working_in(folder):
    """Change the working directory for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _is_whole(text):
    return text.lstrip("-").isdecimal()
