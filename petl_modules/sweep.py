"""Run a grid of trainings: ``python -m petl_modules.sweep run FILE``.

The file names data sets, methods, seeds and other keys; each fold of each run
is a cell. ``plan`` finds every mistake in the file and says what would run,
``run`` runs what is not finished, ``status`` says how far it is, and ``gather``
compares the results. docs/sweeps.md says how a file is written.
"""

import argparse
import signal
import sys
from pathlib import Path

from petl_modules.libraries import (
    INTERRUPTED,
    end_if_interrupted,
    raise_if_interrupted,
    require_libraries,
)

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

from petl_modules.comparison import show_comparison
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.sweeps import (
    ENGINES,
    in_miniature,
    is_done,
    known_cells,
    plan_cells,
    plan_text,
    read_sweep,
    recorded_cells,
    require_same_settings,
    require_search,
    run_cells,
    search,
    status_text,
    with_trials,
    write_data,
    write_record,
)
from petl_modules.utils import UserError, fail, printable, show

__all__ = ["main"]


def main(arguments=None):
    """Run the command line: ``plan|run|status|gather FILE [options]``."""
    chosen = _parser().parse_args(arguments)
    raise_if_interrupted()
    log_to()
    try:
        sweep = read_sweep(chosen.file)
        if chosen.miniature:
            sweep = in_miniature(sweep)
        succeeded = chosen.action(with_trials(sweep), chosen)
    except (UserError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        show("interrupted; the same command goes on from there", sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        stop_logging()
    if not succeeded:
        sys.exit(1)


def _parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m petl_modules.sweep",
        description="Run a grid of trainings that a YAML file names. "
        "docs/sweeps.md says how the file is written.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("file", metavar="FILE", help="the sweep's YAML file")
    common.add_argument(
        "--miniature",
        action="store_true",
        help="on generated data, with the small encoders in pretrained/",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, action, text in (
        ("plan", plan, "check the file and show what would run"),
        ("run", run, "run all cells that are not finished"),
        ("status", status, "show how far the sweep is"),
        ("gather", gather, "compare the results"),
    ):
        one = actions.add_parser(name, parents=[common], help=text)
        one.set_defaults(action=action)
        if name == "run":
            one.add_argument(
                "--engine",
                choices=[*ENGINES],
                default="local",
                help="what starts the cells; default: local, this machine",
            )
            one.add_argument(
                "--search",
                type=int,
                metavar="N",
                help="trials of each combination, of the ranges in 'search'",
            )
            one.add_argument(
                "--at_once",
                type=int,
                default=1,
                metavar="N",
                help="trials of each combination that run at a time; default: 1",
            )
            for engine, module in ENGINES.items():
                group = one.add_argument_group(f"engine {engine}")
                module.add_options(group)
        if name == "gather":
            one.add_argument("--baseline", help="compare others with it")
            one.add_argument("--out", help="a new folder for the comparison")
    return parser


def plan(sweep, _):
    """Check a sweep and show what would run."""
    cells = plan_cells(sweep)
    require_same_settings(cells)
    show(printable(plan_text(sweep, cells), keep="\n"))
    return True


def run(sweep, chosen):
    """Run all cells that are not finished; return whether none has failed."""
    require_search(sweep, chosen.engine, chosen)
    cells = plan_cells(sweep)
    require_same_settings(cells)
    if sweep.miniature:
        write_data(sweep)
    chosen.sweep = sweep
    # As Ctrl-C: what is running is stopped in order
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if sweep.search:
            return search(sweep, ENGINES[chosen.engine], chosen)
        write_record(sweep, cells)
        return run_cells(cells, ENGINES[chosen.engine], chosen)
    finally:
        signal.signal(signal.SIGTERM, before)


def status(sweep, _):
    """Show how far a sweep is."""
    show(status_text(known_cells(sweep)))
    return True


def gather(sweep, chosen):
    """Compare the results of a sweep; say how much is missing."""
    if not Path(sweep.output_folder).is_dir():
        _refuse_nothing(sweep)
    if cells := recorded_cells(sweep):
        missing = sum(not is_done(cell) for cell in cells)
        text = f"{missing} of {len(cells)} cells are not finished"
        if missing == len(cells):
            raise UserError(f"{text}: there is nothing to compare yet")
        if missing:
            show(text, sys.stderr)
    if sweep.search:
        show(
            "the best of these trials by its test is too good: docs/sweeps.md "
            "says how to go on",
            sys.stderr,
        )
    out = chosen.out or _free(Path(sweep.output_folder, "comparison"))
    show_comparison(
        *([sweep.output_folder], out, chosen.baseline),
        published=sweep.published,
    )
    return True


def _refuse_nothing(sweep):
    """Raise the error of a sweep that has no results."""
    text = f"there is no {sweep.output_folder}: nothing of this sweep was run"
    if not sweep.miniature and Path(in_miniature(sweep).output_folder).is_dir():
        text += " but its miniature: add --miniature"
    raise UserError(text)


def _free(folder):
    """Return a folder's name, with a number if there is one already."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
