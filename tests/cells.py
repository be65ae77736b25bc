"""Cells of a sweep whose command is a few lines, in place of a training."""

import argparse

from petl_modules.sweeps import Cell

# Counts to a number, one each tenth of a second, and resumes. Then it does what
# it is told to
COUNTS = """
import os, pathlib, sys, time
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
place = pathlib.Path(options["--output_folder"], "fold1")
count = place / "count.txt"
number = int(count.read_text()) if count.exists() else 0
print("from", number, flush=True)
while number < int(options["--to"]):
    time.sleep(0.1)
    number += 1
    count.with_suffix(".new").write_text(str(number))
    os.replace(count.with_suffix(".new"), count)
if "--says" in options:
    sys.exit(options["--says"])
if "--data_folder" in options:
    pathlib.Path(options["--data_folder"], "a.txt").read_text()
(place / "result.json").write_text('{"fold": {"seconds": 1.0}}')
"""


def make_cells(folder, number=1, **options):
    """Return cells that count.

    Arguments
    ---------
    folder : pathlib.Path
        Where they run.
    number : int
        Number of cells.
    **options : str
        ``to``: what they count to. ``says``: they then fail with these words.
        ``data_folder``: they then read ``a.txt`` there.

    Returns
    -------
    list of petl_modules.sweeps.Cell
    """
    script = folder / "counts.py"
    script.write_text(COUNTS)
    options = {"to": "1", **options}
    names = [f"results/set/encoder/method/{n}" for n in range(number)]
    return [
        Cell(
            *("set", "encoder", "method", str(script), "method.yaml"),
            *(options, str(folder / name), str(folder)),
            fold=1,
        )
        for name in names
    ]


def count_of(cell):
    """Return how far a cell has counted."""
    return int((cell.place / "count.txt").read_text())


def turns_of(cell):
    """Return where the starts of a cell's command have counted from."""
    lines = (cell.place / "output.txt").read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("from")]


def engine_options(engine, sweep, *words):
    """Return the options of an engine, as the command parses them."""
    parser = argparse.ArgumentParser()
    engine.add_options(parser)
    return argparse.Namespace(**vars(parser.parse_args(words)), sweep=sweep)
