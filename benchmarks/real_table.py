"""The table of benchmarks/real.py: read, and merged with the rows of new runs."""

import common  # noqa: F401  first: it prepares the path
import real_report

from petl_modules.utils import DataError, damaged, read_csv

TRIAL = ("task", "encoder", "method", "positions", "seed")
COLUMNS = (
    *TRIAL,
    *("value", "folds", "trainable_parameters"),
    *("clips", "data", "commit", "machine"),
)


def read_table(path):
    """Return the rows of a table of results; of an absent one, none.

    Arguments
    ---------
    path : pathlib.Path
        The CSV file.

    Raises
    ------
    DataError
        The file is damaged.
    """
    if not path.exists():
        return []
    remedy = "Restore it, or name another --csv."
    rows = read_csv(path, COLUMNS, remedy)
    try:
        real_report.report(rows)
        if len({trial_of(row) for row in rows}) < len(rows):
            raise ValueError("a trial is there twice")
    except (ValueError, KeyError) as error:
        raise damaged(path, error, remedy) from error
    return rows


def trial_of(row):
    """Return the trial of a row: task, encoder, method, positions, seed.

    Example
    -------
    >>> row = {"task": "digits", "encoder": "tiny-ast", "method": "lora"}
    >>> trial_of({**row, "positions": "zeros", "seed": "10"})
    ('digits', 'tiny-ast', 'lora', 'zeros', 10)
    """
    *names, seed = (row[key] for key in TRIAL)
    return (*names, int(seed))


def kept_rows(old, todo):
    """Return the rows of a table that new runs do not replace.

    Arguments
    ---------
    old : list of dict
        The table's rows.
    todo : list of tuple
        The trials of the runs.
    """
    replaced = set(todo)
    return [row for row in old if trial_of(row) not in replaced]


def require_comparable(row, kept):
    """Refuse a row that rows of other runs are not to be compared with.

    Arguments
    ---------
    row : dict
        A row of a new run.
    kept : list of dict
        The rows that stay beside it.

    Raises
    ------
    DataError
        Rows of the same task are of other data, or rows of the same method
        have another number of trained parameters.
    """
    *trial, _ = trial_of(row)
    for other in kept:
        for what, same in (
            ("data", other["task"] == row["task"]),
            ("trainable_parameters", [*trial_of(other)][:-1] == trial),
        ):
            if same and str(other[what]) != str(row[what]):
                raise DataError(
                    f"the table has {' '.join(filter(None, trial))} with seed "
                    f"{other['seed']} and {what} {other[what]}, and this run "
                    f"has {what} {row[what]}: name another --csv. What has "
                    "run is kept"
                )


def in_order(rows, known):
    """Return rows in the order of trials, those of a method side by side.

    Arguments
    ---------
    rows : list of dict
        Rows of any tasks.
    known : list of tuple
        Trials in their order, of any seed. Others come last.
    """
    places = {trial[:-1]: place for place, trial in enumerate(known)}

    def place(row):
        *trial, seed = trial_of(row)
        return places.get(tuple(trial), len(places)), trial, seed

    return sorted(rows, key=place)
