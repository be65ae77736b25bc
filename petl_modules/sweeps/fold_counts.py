"""How many folds the runs of a composition have."""

import re

from petl_modules.runs.arguments import read_value
from petl_modules.runs.yaml_text import dump_yaml
from petl_modules.utils import HparamsError


def count_folds(recipe, values):
    """Return the keys on which the number of folds depends, and the numbers.

    Arguments
    ---------
    recipe : petl_modules.runs.recipe_file.RecipeFile
        The composed recipe file. Its keys of the grid are changed.
    values : dict
        By key of the grid, the texts that occur.

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


def require_folds(folds, numbers):
    """Refuse folds that there are not; see ``count_folds`` for the numbers."""
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
