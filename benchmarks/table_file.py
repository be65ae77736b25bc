"""Tables of results that grow: runs replace their own rows of a CSV file."""

from collections import Counter
from statistics import fmean, pstdev

from runs import rows_of  # isort: skip, first: it prepares the path

from petl_modules.utils import DataError, damaged, read_csv, write_csv

COMMON = ("trainable_parameters", "clips", "data", "commit", "machine")


class TableFile:
    """A CSV file of results, a row a trial, of several commits and machines.

    Arguments
    ---------
    path : pathlib.Path
        The file. It need not be there.
    trial : tuple of str
        Columns that name a trial; the last is its seed.
    data : tuple of str
        Those of which rows with the same values have read the same data.
    values : tuple of str
        Columns that ``report`` needs beside these and ``COMMON``.
    report : callable
        Makes a text of the rows; a file of which none can be made is damaged.

    Attributes
    ----------
    rows : list of dict
        The rows, all values as text.

    Raises
    ------
    DataError
        The file is damaged.
    """

    def __init__(self, path, trial, data, values, report):
        self.path = path
        self.trial = trial
        self.data = data
        self.rows = []
        if not path.exists():
            return
        remedy = "Restore it, or name another --csv."
        self.rows = read_csv(path, (*trial, *values, *COMMON), remedy)
        try:
            report(self.rows)
            if len({*map(self.trial_of, self.rows)}) < len(self.rows):
                raise ValueError("a trial is there twice")
        except (ValueError, KeyError) as error:
            raise damaged(path, error, remedy) from error

    def trial_of(self, row):
        """Return the trial of a row, a tuple that ends with a number."""
        *names, seed = (row[key] for key in self.trial)
        return (*names, int(seed))

    def extend(self, todo, work, origin, processes, known):
        """Run trials, and write their rows beside those that stay.

        Arguments
        ---------
        todo : list of tuple
            The trials. Rows of the same trials are replaced.
        work : callable
            Returns the values of a trial: what the row has beside its trial
            and its origin.
        origin : dict
            ``commit`` and ``machine`` of the runs.
        processes : int
            How many run at a time.
        known : list of tuple
            All trials in the order of the table, of any seed. Seeds of a trial
            stand side by side; unknown trials come last.

        Raises
        ------
        DataError
            A run is not comparable with rows that stay. No row is written.
        """
        replaced = {*todo}
        kept = [r for r in self.rows if self.trial_of(r) not in replaced]

        def run(trial):
            row = {**dict(zip(self.trial, trial)), **work(trial), **origin}
            self.require_comparable(row, kept)
            return row

        places = {trial[:-1]: place for place, trial in enumerate(known)}

        def place(row):
            *trial, seed = self.trial_of(row)
            return places.get(tuple(trial), len(places)), trial, seed

        rows = [*kept, *rows_of(todo, run, processes)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(self.path, sorted(rows, key=place))
        self.rows = read_csv(self.path)

    def require_comparable(self, row, kept):
        """Refuse a row that others are not to be compared with.

        Arguments
        ---------
        row : dict
            A row of a new run.
        kept : list of dict
            The rows that stay beside it.

        Raises
        ------
        DataError
            They have read other data, or the same trial with another seed
            has another number of parameters.
        """
        *trial, _ = self.trial_of(row)
        alike = {"data": self.data, "trainable_parameters": self.trial[:-1]}
        for other in kept:
            for what, columns in alike.items():
                same = all(other[key] == row[key] for key in columns)
                if same and str(other[what]) != str(row[what]):
                    raise DataError(
                        f"the table has {' '.join(filter(None, trial))} with "
                        f"seed {other['seed']} and {what} {other[what]}, and "
                        f"this run has {what} {row[what]}: name another --csv. "
                        "What has run is kept"
                    )


def tell_seeds(seeds, how, what):
    """Return what numbers of a table are of: a mean over which seeds.

    Arguments
    ---------
    seeds : iterable
        The seeds of each number.
    how : str
        What a number is that has several seeds.
    what : str
        What has a number in the table.

    Example
    -------
    >>> tell_seeds([["10", "11"], ["10", "11"]], "mean", "row")
    'mean over seeds 10, 11'
    >>> tell_seeds([["10", "11"], ["10"]], "mean", "row")
    'mean over the seeds of a row'
    """
    found = {tuple(sorted(map(int, own))) for own in seeds}
    if len(found) > 1:
        return f"{how} over the seeds of a {what}"
    (own,) = found
    if len(own) == 1:
        return f"seed {own[0]}"
    return f"{how} over seeds {', '.join(map(str, own))}"


def with_deviation(values):
    """Return a mean in per cent and, of several values, their deviation.

    Example
    -------
    >>> with_deviation([0.5, 0.7])
    '60.0 ± 10.0'
    """
    mean, *deviation = (100 * f(values) for f in (fmean, pstdev)[: len(values)])
    return " ± ".join(f"{value:.1f}" for value in (mean, *deviation))


def tell_origins(rows):
    """Return by which commits and on which machines rows were made.

    Arguments
    ---------
    rows : list of dict
        Rows of a table.

    Returns
    -------
    str
        A sentence; of several origins, a list with the rows of each.
    """
    found = Counter(f"Commit {r['commit']}, {r['machine']}" for r in rows)
    if len(found) == 1:
        return f"{min(found)}."
    lines = [
        f"- {n} row{'s' * (n > 1)}: {origin}" for origin, n in found.items()
    ]
    return "\n".join(["Made by (the CSV file has it row by row):", "", *lines])
