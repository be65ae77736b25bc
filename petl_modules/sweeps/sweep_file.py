"""Read a sweep file: a grid of runs, and what else they are made of."""

import os
from pathlib import Path
from typing import NamedTuple

from petl_modules.comparison import read_published
from petl_modules.runs.layering import nearest, read_mapping
from petl_modules.sweeps import ranges
from petl_modules.sweeps.values import text_of
from petl_modules.utils import HparamsError, problem

FORM = {
    "grid": {"dataset": object, "method": object, str: object},
    "output_folder": str,
    "published?": str,
    "set?": {str: {str: object}},
    "skip?": [{str: object}],
    "search?": {str: ranges.FORM},
    "data?": {str: str},
    "stage?": {str: (str, [str])},
    "slurm?": {str: object},
}
KEYS = [key.removesuffix("?") for key in FORM]
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


class Sweep(NamedTuple):
    """What a sweep file says; values are words of a command line.

    Arguments
    ---------
    file : pathlib.Path
        The file, absolute.
    grid : dict
        Lists of texts by key.
    settings : dict
        Texts by key, by data set or method, or by ``all``.
    skip : list of dict
        Lists of texts by key.
    data : dict
        Folder by data set, absolute.
    output_folder : str
        Absolute.
    stage : dict
        Archives by data set, absolute.
    slurm : dict
        Options of sbatch.
    search : dict
        ``petl_modules.sweeps.ranges.Range`` by key.
    trials : tuple of dict
        Points of the grid with values of the searched keys and without a seed,
        see ``petl_modules.sweeps.trials``.
    published : str or None
        A file of papers' numbers, absolute.
    miniature : bool
        Whether it runs on generated data.
    """

    file: Path
    grid: dict
    settings: dict
    skip: list
    data: dict
    output_folder: str
    stage: dict = {}
    slurm: dict = {}
    search: dict = {}
    trials: tuple = ()
    published: str | None = None
    miniature: bool = False

    def options_of(self, dataset, method):
        """Return what ``set`` says for a data set and a method.

        What is said of a method prevails over what is said of a data set, and
        that over what is said of all.
        """
        names = ALL, dataset, method
        return {
            key: text
            for name in names
            for key, text in self.settings.get(name, {}).items()
        }


def read_sweep(path):
    """Read a sweep file and check its form.

    Arguments
    ---------
    path : str or pathlib.Path
        The YAML file. Relative paths in it start in its folder.

    Returns
    -------
    Sweep

    Raises
    ------
    HparamsError
        It is no such file; names the place and the nearest known key.
    DataError
        The file of papers' numbers is damaged.
    OSError
        It cannot be read.
    """
    path = Path(path).absolute()
    tree = read_mapping(path)
    for key in tree:
        if key not in KEYS:
            raise HparamsError(
                f"{path}: unknown key '{key}'{nearest(key, KEYS)} A sweep file "
                f"has: {', '.join(KEYS)}"
            )
    _refuse_flat(tree.get("set"), path)
    if reason := problem(tree, FORM):
        raise HparamsError(f"{path}: {reason}")
    home = path.parent
    sweep = Sweep(
        path,
        _lists(tree["grid"], f"{path}: grid"),
        {
            name: {
                k: _text(k, v, f"{path}: set: {name}") for k, v in one.items()
            }
            for name, one in tree.get("set", {}).items()
        },
        [_lists(one, f"{path}: skip") for one in tree.get("skip", [])],
        {k: str(_below(home, v)) for k, v in tree.get("data", {}).items()},
        str(_below(home, tree["output_folder"])),
        {k: _archives(home, v) for k, v in tree.get("stage", {}).items()},
        {**tree.get("slurm", {})},
        {
            key: ranges.read_range(one, f"{path}: search: {key}")
            for key, one in tree.get("search", {}).items()
        },
    )
    if "published" in tree:
        sweep = sweep._replace(published=str(_below(home, tree["published"])))
        read_published(sweep.published)
    _check(sweep)
    return sweep


def _refuse_flat(settings, path):
    """Refuse values under ``set`` that do not say whose they are."""
    for key, value in (settings if isinstance(settings, dict) else {}).items():
        if not isinstance(value, dict):
            raise HparamsError(
                f"{path}: set: {key}: say for which runs, as in 'set: {{all: "
                f"{{{key}: {value}}}}}'; a data set or method may stand in "
                "place of 'all'"
            )


def _below(home, folder):
    """Return an absolute path."""
    return Path(os.path.normpath(home / os.path.expanduser(folder)))


def _archives(home, names):
    """Return the absolute paths of archives; one may stand without a list."""
    names = [names] if isinstance(names, str) else names
    return tuple(str(_below(home, name)) for name in names)


def _text(key, value, place):
    """Return the text of a value; bases are named without ``.yaml``."""
    text = text_of(value, f"{place}: {key}")
    return text.removesuffix(".yaml") if key == "base" else text


def _lists(mapping, place):
    """Return a list of texts by key; one value may stand without a list."""
    found = {}
    for key, value in mapping.items():
        values = value if isinstance(value, list) else [value]
        found[key] = [_text(key, one, place) for one in values]
        if not values:
            raise HparamsError(f"{place}: {key} is empty: give it a value")
        if len({*found[key]}) < len(values):
            raise HparamsError(
                f"{place}: {key}: name each value once, not "
                f"{', '.join(found[key])}"
            )
    return found


def _check(sweep):
    """Refuse keys and names that cannot mean anything.

    Raises
    ------
    HparamsError
        See ``read_sweep``.
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
