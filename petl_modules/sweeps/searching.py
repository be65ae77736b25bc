"""Search: ask for values, run their cells, and ask again.

State is files alone, see ``petl_modules.sweeps.trials``: a search that was
interrupted goes on, and may be asked for more trials.
"""

import sys
import time

from petl_modules.sweeps.planning import plan_cells
from petl_modules.sweeps.points import combinations_of
from petl_modules.sweeps.record import write_record
from petl_modules.sweeps.running import run_cells
from petl_modules.sweeps.search_report import trial_line, write_report
from petl_modules.sweeps.states import (
    DONE,
    FAILED,
    is_done,
    is_running,
    state_of,
)
from petl_modules.sweeps.suggestions import suggest
from petl_modules.sweeps.trials import (
    folder_of,
    trials_of,
    with_trials,
    write_trials,
)
from petl_modules.utils import HparamsError, alone_in, printable, show

POLL = 5  # seconds


def require_search(sweep, engine, options):
    """Refuse a search that cannot be.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    engine : str
        The engine's name.
    options : argparse.Namespace
        ``search``, the number of trials, ``at_once``, and the engine's own.

    Raises
    ------
    HparamsError
        The file and the command line do not fit, or the engine does not wait.
    """
    if not sweep.search and options.search is None:
        return
    if not sweep.search:
        raise HparamsError(
            f"{sweep.file}: --search needs ranges: 'search: {{lr: {{low: "
            "1.0e-4, high: 1.0e-2, log: True}}'"
        )
    if options.search is None:
        raise HparamsError(
            f"{sweep.file} has 'search': say how many trials each combination "
            "of the grid's keys gets, such as --search 20"
        )
    for name in ("search", "at_once"):
        if (number := getattr(options, name)) < 1:
            raise HparamsError(f"--{name} is {number}: at least 1 is needed")
    if engine == "print" or (engine == "slurm" and not options.wait):
        remedy = "add --wait, or take" if engine == "slurm" else "take"
        raise HparamsError(
            f"--search waits for results before it asks for more, and engine "
            f"{engine} does not: {remedy} engine local or ray"
        )


def search(sweep, engine, options):
    """Run trials until each combination of the grid's keys has enough.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.
    engine : module
        See ``petl_modules.sweeps.engines``.
    options : argparse.Namespace
        ``search``: trials of each combination, those before included.
        ``at_once``: how many of them are asked for at a time. And the engine's
        own.

    Returns
    -------
    bool
        Whether nothing has failed or was interrupted.

    Raises
    ------
    UserError
        Optuna is not installed, or a result cannot be read.
    """
    folder, tried, ready = folder_of(sweep), set(), []
    succeeded = True
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with alone_in(folder):  # two that ask would ask for the same
            sweep, cells, trials = _look(sweep)
            _tell(trials, {cell.place for cell in ready})
            if new := _ask(sweep, trials, tried, options):
                write_trials(sweep, new)
                sweep, cells, trials = _look(sweep)
        write_record(sweep, cells)
        done = {cell.place for cell in cells if is_done(cell)}
        left = [c for c in cells if c.place not in tried or c.place in done]
        ready = [cell for cell in left if cell.place not in done]
        if not ready and not new:
            break
        # With those done, whose data are prepared and whose time is known
        succeeded &= run_cells(left, engine, options)
        while any(map(is_running, ready)):  # of another process
            time.sleep(POLL)
        tried |= {cell.place for cell in ready}
    show(printable(write_report(folder, trials), keep="\n"))
    return succeeded and all(trial.state == DONE for trial in trials)


def _look(sweep):
    """Return a sweep as it is now, its cells and its trials."""
    sweep = with_trials(sweep)
    cells = plan_cells(sweep)
    return sweep, cells, trials_of(sweep, cells)


def _ask(sweep, trials, tried, options):
    """Return new trials, of combinations whose others have ended."""
    new = []
    for combination in combinations_of(sweep):
        own = [one for one in trials if one.combination == combination]
        if not all(_has_ended(trial, tried) for trial in own):
            continue
        told = [(trial.values, trial.mean) for trial in own]
        wanted = min(options.at_once, options.search - len(own))
        for _ in range(wanted):
            texts = suggest(sweep.search, told, _mode(sweep, own), _seed(sweep))
            if texts is None:
                text = ", ".join(combination.values())
                show(
                    printable(f"{text}: all values have been tried"), sys.stderr
                )
                break
            told.append(({k: float(t) for k, t in texts.items()}, None))
            new.append({**combination, **texts})
    return new


def _has_ended(trial, tried):
    """Return whether a trial is done, or has failed in this process."""
    return trial.state == DONE or (
        trial.state == FAILED
        and all(c.place in tried for c in trial.cells if state_of(c) == FAILED)
    )


def _mode(sweep, trials):
    """Return whether more or less is better; before a trial, no matter."""
    return trials[0].cells[0].metric[1] if trials else "max"


def _seed(sweep):
    """Return the seed of the suggestions: the grid's first one."""
    return int(sweep.grid.get("seed", ["0"])[0])


def _tell(trials, places):
    """Show what the trials of some cells have reached."""
    for trial in trials:
        if places & {cell.place for cell in trial.cells}:
            show(printable(trial_line(trial)), sys.stderr)
