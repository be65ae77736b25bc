"""Which keys and names have a place in a sweep file."""

from petl_modules.runs.layering import nearest
from petl_modules.utils import HparamsError

ALL = "all"  # what ``set`` calls all data sets
# Keys that the sweep itself gives, and what to do instead
REFUSED = {
    "output_folder": "name it at the top of the file",
    "data_folder": "name it under 'data'",
    "backbone_name": "it follows from the backbone",
    "fold": "each fold is a cell",
    "debug": "a debug run keeps no results",
    "debug_persistently": "a debug run keeps no results",
    "print_hparams": "nothing would be trained",
    "prepare_only": "a sweep does that by itself",
}
IN_GRID = {
    "folds": "each fold is a cell; under 'set' it says which are run",
}
IN_SEARCH = {
    key: "it has no range: name its values in the grid"
    for key in ("dataset", "method", "base", "backbone", "seed")
}
IN_SET = {
    "dataset": "it belongs into the grid",
    "method": "it belongs into the grid",
}


def require_meaning(sweep):
    """Refuse keys and names that cannot mean anything.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Raises
    ------
    HparamsError
        Names the place, and the nearest known name.
    """
    grid, file = sweep.grid, sweep.file
    for key in grid:
        _refuse(key, {**REFUSED, **IN_GRID}, f"{file}: grid")
    for key in sweep.search:
        refused = {**REFUSED, **IN_GRID, **IN_SEARCH}
        _refuse(key, refused, f"{file}: search")
        if key in grid:
            raise HparamsError(
                f"{file}: '{key}' is in the grid and in search. Leave one out"
            )
    names = [ALL, *grid["dataset"], *grid["method"]]
    for name, options in sweep.settings.items():
        if name not in names:
            raise HparamsError(
                f"{file}: set: '{name}' is neither a data set nor a method of "
                f"the grid{nearest(name, names)}"
            )
        for key in options:
            _refuse(key, {**REFUSED, **IN_SET}, f"{file}: set: {name}")
            for other, keys in (("the grid", grid), ("search", sweep.search)):
                if key in keys:
                    raise HparamsError(
                        f"{file}: '{key}' is in {other} and in set: {name}. "
                        "Leave one out"
                    )
    for key, names in (("data", sweep.data), ("stage", sweep.stage)):
        for name in names:
            if name not in grid["dataset"]:
                raise HparamsError(
                    f"{file}: {key}: '{name}' is no data set of the grid"
                    f"{nearest(name, grid['dataset'])}"
                )


def _refuse(key, refused, place):
    """Refuse a key that a sweep gives by itself."""
    if key in refused:
        raise HparamsError(f"{place}: {key} is not for here: {refused[key]}")
