"""Recipes and their YAML files, by name."""

import os

from petl_modules.miniatures.trials import ROOT
from petl_modules.runs.layering import nearest
from petl_modules.utils import HparamsError

PLACES = ("recipes", "templates")


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
