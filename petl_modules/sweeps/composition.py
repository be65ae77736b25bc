"""One composition of a sweep: a recipe, a method and a base, checked once."""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from petl_modules.backbones import checkpoint_name
from petl_modules.backbones.checkpoint import is_path
from petl_modules.miniatures.trials import ROOT
from petl_modules.runs.arguments import read_value
from petl_modules.runs.checks import check_keys, check_values
from petl_modules.runs.command_line import RUN_OPTIONS, compose, run_options
from petl_modules.runs.input_keys import fill_in_metric
from petl_modules.runs.layering import nearest
from petl_modules.runs.yaml_text import dump_yaml
from petl_modules.sweeps.miniature import miniature_options
from petl_modules.utils import HparamsError, noting

PLACES = ("recipes", "templates")


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


def find_recipe(dataset, home):
    """Return the folder of a recipe.

    Arguments
    ---------
    dataset : str
        Its name in ``recipes`` or ``templates``; or a path, which has a slash.
    home : pathlib.Path
        Where a relative path starts.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    HparamsError
        There is none; names the nearest.
    """
    if "/" in dataset:
        folder = home / os.path.expanduser(dataset)
        if (folder / "train.py").is_file():
            return folder.resolve()
        raise HparamsError(f"{folder} is no recipe: it has no train.py")
    there = {
        script.parent.name: script.parent
        for place in PLACES
        for script in sorted((ROOT / place).glob("*/train.py"))
    }
    if dataset in there:
        return there[dataset]
    raise HparamsError(
        f"no data set '{dataset}'{nearest(dataset, there)} There are: "
        f"{', '.join(there) or f'none in {ROOT}'}; a recipe of your own is "
        "named by its path, such as ./my_recipe"
    )


def find_file(folder, kind, name):
    """Return a recipe's YAML file, by what it is and its stem."""
    file = folder / "hparams" / f"{name}.yaml"
    if file.is_file():
        return file
    stems = [path.stem for path in sorted(file.parent.glob("[!.]*.yaml"))]
    near = nearest(name, stems)
    raise HparamsError(
        f"no {kind} '{name}'{near}"
        + (f" There are: {', '.join(stems)}" if near == "." else "")
    )


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
        _check_data_folder(sweep, *kind[:2])
    with noting(mistakes):
        file, options = _options_for(sweep, folder, kind, values)
        recipe = _compose_one(sweep, folder, file, options, values)
        settings, script = recipe.settings, str(folder / "train.py")
        check_keys(settings, script)
        check_values(settings)
        backbones = [settings["backbone"], *values.get("backbone", [])]
        _check_backbones(backbones, sweep)
        _check_others(settings, values, file.name)
        _check_validation(sweep, settings)
        keys, split = _count_folds(recipe, values)
        _check_folds(settings.get("folds") or [], split.values())
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


def _check_data_folder(sweep, dataset, method):
    """Refuse a data set without a folder that is there or will be."""
    if dataset not in sweep.data:
        if sweep.stage.get(dataset):
            return
        raise HparamsError(f"no data folder: add 'data: {{{dataset}: DIR}}'")
    folder = Path(sweep.data[dataset])
    loaded = sweep.options_of(dataset, method).get("download") == "True"
    if not (sweep.miniature or folder.is_dir() or loaded):
        raise HparamsError(
            f"there is no data folder {folder}. Correct it under 'data', where "
            "relative paths start in the sweep file's folder; the recipe's "
            "README says how to obtain the data"
        )


@contextlib.contextmanager
def working_in(folder):
    """Change the working directory for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _check_backbones(names, sweep):
    """Refuse encoders on the disk that are not there."""
    for name in filter(None, names):
        folder = sweep.file.parent / os.path.expanduser(name)
        if is_path(name) and not folder.is_dir():
            raise HparamsError(f"backbone: there is no folder {folder}")


def _is_whole(text):
    return text.lstrip("-").isdecimal()


def _check_others(settings, values, name):
    """Check all values of the grid, of which the composition has one each."""
    for key, texts in values.items():
        for text in texts:
            if key in settings:
                value = read_value(key, [text], settings[key])
                check_values({**settings, key: value})
            elif key in RUN_OPTIONS:
                run_options(name, {key: [text]})


def _check_validation(sweep, settings):
    """Refuse a search of runs that have no validation."""
    if sweep.search and settings.get("fixed_epochs"):
        raise HparamsError(
            "fixed_epochs leaves no validation to search by: leave it out"
        )


def _count_folds(recipe, values):
    """Return the keys on which the number of folds depends, and the numbers.

    Returns
    -------
    keys : list of str
        Of the grid. A seed draws clips, not folds.
    numbers : dict
        By values of these keys.
    """
    plan = recipe.tree.get("plan")
    if not isinstance(plan, dict) or "split" not in plan:
        return [], {(): None}
    used = _keys_behind(plan["split"], recipe.tree) - {"seed"}
    keys = sorted(used & values.keys())
    points = [()]
    for key in keys:
        points = [(*point, text) for point in points for text in values[key]]
    numbers = {}
    for point in points:
        for key, text in zip(keys, point):
            value = read_value(key, [text], recipe.settings[key])
            recipe.update({key: value})
        split = recipe["plan"].keywords["split"]
        numbers[point] = getattr(split, "n_folds", None)
    return keys, numbers


def _keys_behind(value, tree):
    """Return the keys that a value refers to, also through other keys."""
    found, left = set(), [value]
    while left:
        text = dump_yaml({"value": left.pop()})
        new = {*re.findall(r"<(\w+)", text)} - found
        found |= new
        left += [tree[key] for key in new if key in tree]
    return found


def _check_folds(folds, numbers):
    """Refuse folds that there are not."""
    for number in numbers:
        for fold in folds:
            if type(fold) is not int or fold < 1:
                raise HparamsError(f"folds: there is no fold {fold}")
            if number is not None and fold > number:
                raise HparamsError(
                    f"folds: there is no fold {fold}: they go from 1 to "
                    f"{number}"
                )
    if len({*folds}) < len(folds):
        raise HparamsError(f"folds {[*folds]}: name each once")
