"""What a composition of a sweep must not have: refused before anything runs."""

import os
from pathlib import Path

from petl_modules.backbones.checkpoint import is_path
from petl_modules.runs.arguments import read_value
from petl_modules.runs.checks import check_values
from petl_modules.runs.command_line import RUN_OPTIONS, run_options
from petl_modules.utils import HparamsError


def require_data_folder(sweep, dataset, method):
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


def require_backbones(names, sweep):
    """Refuse encoders on the disk that are not there."""
    for name in filter(None, names):
        folder = sweep.file.parent / os.path.expanduser(name)
        if is_path(name) and not folder.is_dir():
            raise HparamsError(f"backbone: there is no folder {folder}")


def check_values_of_grid(settings, values, name):
    """Check all values of the grid, of which the composition has one each."""
    for key, texts in values.items():
        for text in texts:
            if key in settings:
                value = read_value(key, [text], settings[key])
                check_values({**settings, key: value})
            elif key in RUN_OPTIONS:
                run_options(name, {key: [text]})


def require_validation(sweep, settings):
    """Refuse a search of runs that have no validation."""
    if sweep.search and settings.get("fixed_epochs"):
        raise HparamsError(
            "fixed_epochs leaves no validation to search by: leave it out"
        )
