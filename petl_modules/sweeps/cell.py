"""A cell of a sweep: one fold of one run, and its command line."""

import sys
from pathlib import Path
from typing import NamedTuple

from petl_modules.runs.plan import folder_name


class Cell(NamedTuple):
    """One fold of one run, with all of its few-shot draws.

    Where the number of folds is not known before the data are read, a cell is
    the whole run. Cells are plain data: engines pickle them and send them to
    other machines that see the same disk.

    Arguments
    ---------
    dataset, backbone, method : str
        What the run is of: names of the recipe, of the encoder, and of the
        method's YAML file.
    script : str
        The recipe's ``train.py``.
    file : str
        The method's YAML file.
    options : dict
        Texts of the command line by key. The folds of a run share them.
    folder : str
        The run's folder.
    directory : str
        Where the command starts: paths in ``options`` are relative to it.
    fold : int or None
        The test fold. None: all of them.
    draws : int
        Number of few-shot draws.
    environment : dict
        Variables that an engine adds to those of its process.
    preparation : str
        Cells with the same text prepare the same data.
    metric : tuple of str
        The name of the metric that selects an epoch, and its mode.
    archives : tuple of str
        Archives with the data, see ``petl_modules.sweeps.staging``.

    Example
    -------
    >>> options = {"seed": "10"}
    >>> cell = Cell("ESC50", "ast", "lora", "train.py", "lora.yaml", options, "out", ".", 3)
    >>> cell.command[2:]
    ['lora.yaml', '--seed', '10', '--output_folder', 'out', '--folds', '[3]']
    >>> str(cell.place), cell._replace(draws=2).parts
    ('out/fold3', ['fold3', 'fold3-draw2'])
    """

    dataset: str
    backbone: str
    method: str
    script: str
    file: str
    options: dict
    folder: str
    directory: str
    fold: int | None = None
    draws: int = 1
    environment: dict = {}
    preparation: str = ""
    archives: tuple = ()
    metric: tuple = ()

    @property
    def command(self):
        """The words of the command line, for ``subprocess``."""
        words = [sys.executable, self.script, self.file]
        options = {**self.options, "output_folder": self.folder}
        if self.fold is not None:
            options["folds"] = f"[{self.fold}]"
        for key, value in options.items():
            words += [f"--{key}", value]
        return words

    @property
    def kind(self):
        """Cells of one kind take about the same time."""
        return self.dataset, self.backbone, self.method

    @property
    def parts(self):
        """Names of the folders of its folds; empty: not known."""
        if self.fold is None:
            return []
        draws = range(1, self.draws + 1)
        return [folder_name(self.fold, draw) for draw in draws]

    @property
    def place(self):
        """The folder of the cell's own files: the fold's, or the run's."""
        return Path(self.folder, *self.parts[:1])
