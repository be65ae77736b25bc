"""Read a sweep file: a grid of runs, and what else they are made of."""

import os
from pathlib import Path
from typing import NamedTuple

from petl_modules.comparison import read_published
from petl_modules.runs.layering import nearest, read_mapping
from petl_modules.sweeps import ranges
from petl_modules.sweeps.sweep_rules import ALL, require_meaning
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
    require_meaning(sweep)
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
