"""Which cells are in the queue of Slurm.

Each array of jobs has a folder, which is named as the array in the queue and
lists its cells. The folder is written before the array is submitted, so that
no job is ever unknown.
"""

import subprocess
import uuid
from pathlib import Path

from petl_modules.utils import UserError, brief, read_json, write_json

CELLS = "cells.json"
FORM = {"cells": [str]}
REMEDY = "Delete it, if its jobs have ended"
TIMEOUT = 60  # seconds


class Arrays:
    """The arrays of jobs of a sweep.

    Arguments
    ---------
    folder : pathlib.Path
        Where their folders are.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def add(self, cells):
        """Make the folder of a new array, and return it.

        Arguments
        ---------
        cells : list of petl_modules.sweeps.Cell
            The cells, in the order of the array.

        Returns
        -------
        pathlib.Path
            Its name is to be that of the jobs.
        """
        folder = self.folder / f"petl-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        places = [str(cell.place) for cell in cells]
        write_json(folder / CELLS, {"cells": places})
        return folder

    def tasks(self):
        """Return what was submitted: array and index of each cell.

        Returns
        -------
        dict
            A list of (array's name, index) by a cell's place.

        Raises
        ------
        DataError
            A list of cells is damaged.
        """
        found = {}
        for file in sorted(self.folder.glob(f"petl-*/{CELLS}")):
            places = read_json(file, FORM, REMEDY)["cells"]
            for index, place in enumerate(places):
                found.setdefault(place, []).append((file.parent.name, index))
        return found

    def log_of(self, task):
        """Return the file that a task has written its errors to, or None."""
        name, index = task
        for file in self.folder.glob(f"{name}/*_log.err"):
            _, *number, _, _ = file.name.split("_")  # none without an array
            if (number or ["0"]) == [str(index)]:
                return file
        return None


def queued():
    """Return the tasks of this user that wait or run in Slurm.

    Returns
    -------
    set of tuple
        Names of jobs and indices in their arrays.

    Raises
    ------
    UserError
        Slurm does not answer.
    """
    words = ["squeue", "--me", "--array", "--noheader", "--format", "%K|%j"]
    try:
        result = subprocess.run(
            words, capture_output=True, text=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"squeue does not answer: {brief(error)}") from error
    if result.returncode:
        raise UserError(
            f"squeue has failed: {brief(result.stderr)}. Run the same command "
            "again when Slurm answers"
        )
    rows = [line.partition("|") for line in result.stdout.splitlines()]
    return {
        (name, int(index) if index.isdecimal() else 0)
        for index, _, name in rows
    }
