"""Compare runs: ``python -m petl_modules.compare RESULTS --baseline lora``.

Reads every finished run in and below the folders, and writes a folder with
``runs.csv`` (a row a run and a fold), tables, pictures, and one page for a
browser. docs/comparing.md says how differences are judged.
"""

import argparse
import math
import sys
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.comparison import PAGE, compare
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import UserError, fail, listed, printable, show

__all__ = ["compare", "main"]

MOST = 10  # unfinished runs that are named on the terminal


def main(arguments=None):
    """Run the command line: ``RESULTS... [--baseline METHOD] [--out DIR]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.compare")
    parser.add_argument(
        "results", nargs="+", help="folders of runs, or above them"
    )
    parser.add_argument(
        "--baseline", help="the method that others are compared with"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=1.0,
        help="points that count as equal; default: 1",
    )
    parser.add_argument(
        "--out", default="results/compare", help="a new folder for the tables"
    )
    chosen = parser.parse_args(arguments)
    if not 0 <= chosen.margin < math.inf:
        parser.error(f"--margin is {chosen.margin}: give 0 or more points")
    log_to()
    try:
        compared, results = compare(
            chosen.results, chosen.out, chosen.baseline, chosen.margin / 100
        )
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()
    if results.unfinished:
        names = listed([*map(printable, results.unfinished)], MOST)
        show(f"left out, as not finished:\n{names}", sys.stderr)
    for group, _, differences in compared:
        for line in lines_of(group, differences):
            show(printable(line))
    show(printable(f"report: {Path(chosen.out) / PAGE}"))


def lines_of(group, differences):
    """Return a group's results as lines of text."""
    unit, digits, name = group.unit
    lines = [f"{group.title} ({group.protocol}): {group.metric} {name}".strip()]
    width = max(len(one.name) for one in group.configurations) + 2
    for one in group.configurations:
        line = f"  {one.name:{width}}{unit * one.mean():.{digits}f}"
        if found := differences.get(one.name):
            line += f"  {found.verdict}"
            if found.mean is not None:
                line += f" ({unit * found.mean:+.{digits}f})"
        lines.append(line)
    return lines


if __name__ == "__main__":
    main()
