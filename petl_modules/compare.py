"""Compare runs: ``python -m petl_modules.compare RESULTS --baseline lora``.

Reads every finished run in and below the folders, and writes a folder with
``runs.csv`` (a row a run and a fold), tables, pictures, and one page for a
browser. docs/comparing.md says how differences are judged.
"""

import argparse
import math

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.comparison import compare, show_comparison
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import UserError, fail

__all__ = ["compare", "main"]


def main(arguments=None):
    """Run the command line: ``RESULTS... [--baseline METHOD] [--out DIR]``."""
    parser = argparse.ArgumentParser(
        prog="python -m petl_modules.compare",
        description="Compare the finished runs in and below some folders. "
        "docs/comparing.md says how to read what it writes.",
    )
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
        "--out",
        default="results/compare",
        help="a new folder for tables, pictures and the page; default: "
        "results/compare",
    )
    chosen = parser.parse_args(arguments)
    if not 0 <= chosen.margin < math.inf:
        parser.error(f"--margin is {chosen.margin}: give 0 or more points")
    log_to()
    try:
        show_comparison(
            chosen.results, chosen.out, chosen.baseline, chosen.margin / 100
        )
    except FileExistsError as error:
        fail(f"{error}, with --out")
    except (UserError, OSError) as error:
        fail(error)
    finally:
        stop_logging()


if __name__ == "__main__":
    main()
