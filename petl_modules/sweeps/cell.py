"""A cell of a sweep: one fold of one run, and its command line."""

import sys
from pathlib import Path
from typing import NamedTuple


class Cell(NamedTuple):
    """One fold of one run, with all of its few-shot draws.

    Where the number of folds is not known before the data are read, a cell is
    the whole run. Cells are plain data: engines pickle them and send them to
    other machines that see the same disk.

    Arguments
    ---------
    dataset : str
        The recipe's name.
    method : str
        The stem of the method's YAML file, and the values of the grid's other
        keys: ``lora-lr=0.001``.
    script : str
        The recipe's ``train.py``.
    file : str
        The method's file, such as ``hparams/lora.yaml``.
    options : dict
        Texts of the command line by key. The folds of a run share them.
    folder : str
        The run's folder.
    fold : int or None
        The test fold. None: all of them.
    draws : int
        Number of few-shot draws.
    environment : dict
        Variables that an engine adds to those of its process.

    Example
    -------
    >>> cell = Cell("ESC50", "lora", "train.py", "hparams/lora.yaml", {"seed": "10"}, "out", 3)
    >>> cell.command[2:]
    ['hparams/lora.yaml', '--seed', '10', '--output_folder', 'out', '--folds', '[3]']
    >>> str(cell.place)
    'out/fold3'
    """

    dataset: str
    method: str
    script: str
    file: str
    options: dict
    folder: str
    fold: int | None = None
    draws: int = 1
    environment: dict = {}

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
    def place(self):
        """The folder of the cell's own files: the fold's, or the run's."""
        folder = Path(self.folder)
        return folder if self.fold is None else folder / f"fold{self.fold}"

    @property
    def name(self):
        """The cell in messages: the folder's last parts."""
        parts = Path(self.folder).parts[-4:]
        fold = [] if self.fold is None else [f"fold{self.fold}"]
        return "/".join([*parts, *fold])
