"""Time and memory of reading many results, as ``petl_modules.compare`` does.

    python benchmarks/compare.py                # 10,000 results

One generated run of five folds is copied: 4 methods, each with as many learning
rates and seeds as the number of results needs. Seconds are of the processor.
"""

import argparse
import re
import resource
import shutil
import tempfile
import time
from pathlib import Path

import common  # noqa: F401  isort: skip, first: it prepares the path
from tqdm import tqdm

from petl_modules.comparison.comparing import judge
from petl_modules.comparison.finding import find_runs
from petl_modules.comparison.groups import group_results
from petl_modules.comparison.results import read_results
from tests.compared import guesses, records_of, write_compared

METHODS = ("bottleneck", "linear", "lora", "prefix")
FOLDS, CLIPS = 5, 40
RATES = 25


def write_runs(folder, results):
    """Write runs with so many results in all."""
    records = records_of(FOLDS, CLIPS)
    right = {
        fold: {c: i % 3 > 0 for i, c in enumerate(_of(records, fold))}
        for fold in range(1, FOLDS + 1)
    }
    values = {k: sum(r.values()) / CLIPS for k, r in right.items()}
    for method in METHODS:
        first = folder / f"{method}-0"
        write_compared(
            first, method, values, records=records, rows=guesses(right)
        )
        for number in tqdm(range(1, results // FOLDS // len(METHODS)), method):
            run = shutil.copytree(first, folder / f"{method}-{number}")
            for name, line, value in (
                ("hyperparams.yaml", "^lr: .*", 0.0005 + number % RATES / 1000),
                ("summary.json", '"seed": .*,', 1 + number // RATES),
            ):
                text = (run / name).read_text()
                key = line.partition(": ")[0].strip("^")
                changed = f"{key}: {value}{',' * line.endswith(',')}"
                text = re.sub(line, changed, text, count=1, flags=re.M)
                (run / name).write_text(text)


def _of(records, fold):
    return [clip for clip, r in records.items() if r["fold"] == fold]


def main():
    """Write results, read them, and compare them with a baseline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=int, default=10_000)
    chosen = parser.parse_args()

    def report(what):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.process_time() - start
        print(f"{what}: {seconds:.1f} s, peak memory {peak:.0f} MB")

    with tempfile.TemporaryDirectory() as place:
        write_runs(Path(place), chosen.results)
        start = time.process_time()
        report("before")
        found = read_results(find_runs([place]))
        groups = group_results(found)
        report(f"{len(found.folds)} results read and grouped")
        judge(groups, "lora-lr=0.0015", margin=0.01)
        report("compared with a baseline, with a bootstrap of predictions")


if __name__ == "__main__":
    main()
