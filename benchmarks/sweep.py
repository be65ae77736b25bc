"""Time and memory of planning a large sweep, and of its status.

    python benchmarks/sweep.py                # 10,000 cells

The sweep has ten methods on ESC-50, each with ten learning rates and as many
seeds as the number of cells needs. Of its cells half are finished, a tenth has
failed, and the others wait. Seconds are of the processor.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import common  # noqa: F401  isort: skip, first: it prepares the path
from petl_modules.sweeps import (
    known_cells,
    plan_cells,
    read_sweep,
    status_text,
    write_record,
)
from petl_modules.sweeps.states import RESULT, write_error

METHODS = (
    *("linear", "bitfit", "lora", "prefix", "prompt_deep", "bottleneck"),
    *("houlsby", "conformer", "dense_moa", "soft_moa"),
)
RATES = 10
FOLDS = 5


def write_sweep(folder, cells):
    """Write a sweep file with so many cells; return it."""
    (folder / "data").mkdir()
    file = folder / "sweep.yaml"
    grid = {
        "dataset": ["ESC50"],
        "method": METHODS,
        "lr": [k / 1000 for k in range(1, RATES + 1)],
        "seed": [*range(cells // (len(METHODS) * RATES * FOLDS))],
    }
    data = {"ESC50": "data"}
    tree = {"grid": grid, "data": data, "output_folder": "out"}
    file.write_text(json.dumps(tree))
    return file


def write_states(cells):
    """Let half of the cells be finished, and a tenth have failed."""
    for number, cell in enumerate(cells):
        if number % 2:
            cell.place.mkdir(parents=True)
            (cell.place / RESULT).touch()
        elif number % 10 == 0:
            write_error(cell, 1, ["out of luck"] * 30)


def main():
    """Plan a sweep, and ask for its status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=10_000)
    chosen = parser.parse_args()
    start = time.process_time()

    def report(what):
        nonlocal start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.process_time() - start
        print(f"{what}: {seconds:.2f} s, peak memory {peak:.0f} MB")
        start = time.process_time()

    with tempfile.TemporaryDirectory() as place:
        sweep = read_sweep(write_sweep(Path(place), chosen.cells))
        report("before")
        cells = plan_cells(sweep)
        report(f"{len(cells)} cells planned")
        write_states(cells)
        write_record(sweep, cells)
        start = time.process_time()
        text = status_text(known_cells(sweep))
        report("status")
        print(text)


if __name__ == "__main__":
    main()
