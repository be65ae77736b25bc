"""Finished runs of a sweep: are their settings those of the sweep file now?

A cell is done if its result is there. A result of other settings, from before
the sweep file or a recipe was changed, must not pass for one of these.
"""

from pathlib import Path

from petl_modules.comparison.settings import keys_of, value_of
from petl_modules.runs.arguments import read_value
from petl_modules.runs.command_line import compose
from petl_modules.runs.input_keys import fill_in_metric
from petl_modules.runs.yaml_text import dump_yaml, read_text
from petl_modules.sweeps.composition import working_in
from petl_modules.sweeps.states import is_done
from petl_modules.utils import HparamsError, UserError, brief, listed

MOST = 20  # runs that are named


def require_same_settings(cells):
    """Refuse results of other settings than the sweep's.

    Arguments
    ---------
    cells : list of petl_modules.sweeps.Cell
        All cells of the sweep.

    Raises
    ------
    HparamsError
        A run has a result, and other settings; names both.
    """
    runs = {cell.folder: cell for cell in cells if is_done(cell)}
    first, lines = {}, []
    for cell in runs.values():
        kind = cell.script, cell.file, cell.options.get("base")
        kind = *kind, *sorted(cell.options)
        if kind not in first:
            first[kind] = cell, _compose(cell)
        lines += _differences(cell, *first[kind])
    if lines:
        raise HparamsError(
            f"results are there of other settings:\n{listed(lines, MOST)}\n"
            "Name another output_folder, or move these folders away"
        )


def _compose(cell):
    """Return a cell's merged recipe file."""
    words = [cell.file]
    for key, text in cell.options.items():
        words += [f"--{key}", text]
    words += ["--data_folder", "."] * ("data_folder" not in cell.options)
    with working_in(cell.directory):
        recipe, _ = compose(words, Path(cell.script).parent)
    fill_in_metric(recipe)
    return recipe


def _differences(cell, first, recipe):
    """Return the settings of a finished run that are not those of its cell.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.
    first : petl_modules.sweeps.Cell
        Another one of the same recipe file, method and base.
    recipe : petl_modules.runs.recipe_file.RecipeFile
        That of the other one.
    """
    ours, file = keys_of(recipe.text), Path(cell.folder, "hyperparams.yaml")
    for key in ours.keys() & cell.options.keys():
        if (text := cell.options[key]) != first.options[key]:
            value = read_value(key, [text], recipe.settings[key])
            ours[key] = dump_yaml({key: value}).rstrip()
    try:
        theirs = keys_of(read_text(file))
    except (UserError, OSError) as error:
        return [f"{cell.folder}: its settings cannot be read: {brief(error)}"]
    both = {
        key: (value_of(there), value_of(ours[key]))
        for key, there in theirs.items()
        if key in ours  # another version of the recipe has other keys
    }
    return [
        f"{cell.folder}: {key}: {there} there, {now} now"
        for key, (there, now) in both.items()
        if not _same(key, there, now, cell.directory)
    ]


def _same(key, there, now, home):
    """Return whether a run has a value, or has filled in a value for it."""
    if key == "backbone":  # with its commit, or as an absolute path
        return there.partition("@")[0] == now.partition("@")[0] or (
            Path(home, now).is_dir()
            and Path(home, now).resolve() == Path(there)
        )
    return there == now or now == "null"
