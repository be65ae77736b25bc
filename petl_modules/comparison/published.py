"""Numbers that papers report, beside those of finished runs.

They are shown and no more: they are no part of any statistics.
"""

import math

from petl_modules.utils import damaged, read_csv

COLUMNS = (
    *("paper", "table", "dataset", "encoder", "method", "metric", "value"),
    "parameters",
)
MATCHED = ("dataset", "encoder", "method", "metric")
REMEDY = "Correct it"


def read_published(file):
    """Read a file of numbers that papers report.

    Arguments
    ---------
    file : str or pathlib.Path
        A CSV file with ``COLUMNS``. ``value`` is in %, but for detection
        costs; ``parameters`` may be empty.

    Returns
    -------
    dict
        Rows by data set, encoder, method and metric.

    Raises
    ------
    DataError
        It is damaged, a value is no number, or two rows are of the same.
    """
    found = {}
    for row in read_csv(file, COLUMNS, REMEDY):
        key = tuple(row[name] for name in MATCHED)
        try:
            known = math.isfinite(float(row["value"]))
        except ValueError:
            known = False
        if not known:
            reason = f"the value {row['value']!r} is no number"
            raise damaged(file, reason, REMEDY)
        if key in found:
            raise damaged(file, f"two rows are of {', '.join(key)}", REMEDY)
        found[key] = row
    return found


def put_beside(groups, published):
    """Return groups whose configurations have a paper's number where known.

    A method of which several configurations are there has none: the paper's
    is only one of them.

    Arguments
    ---------
    groups : list of petl_modules.comparison.groups.Group
        The groups.
    published : dict
        See ``read_published``.

    Returns
    -------
    list of petl_modules.comparison.groups.Group
    """
    made = []
    for group in groups:
        methods = [one.method for one in group.configurations]
        rows = [
            published.get((group.dataset, group.backbone, name, group.metric))
            for name in methods
        ]
        configurations = [
            one._replace(paper=row if methods.count(one.method) == 1 else None)
            for one, row in zip(group.configurations, rows)
        ]
        made.append(group._replace(configurations=configurations))
    return made


def source_of(row):
    """Return where a number stands.

    Example
    -------
    >>> source_of({"paper": "2312.03694", "table": "Table 1"})
    '2312.03694, Table 1'
    """
    return ", ".join(filter(None, [row["paper"], row["table"]]))


def has_papers(group):
    """Return whether a paper's number is there for a group."""
    return any(one.paper for one in group.configurations)


def paper_cell(one):
    """Return what a table shows beside a configuration: value and text."""
    if one.paper is None:
        return None, ""
    text, parameters = one.paper["value"], one.paper["parameters"]
    if parameters:
        text += f" ({parameters} parameters)"
    return float(one.paper["value"]), text


def paper_notes(group):
    """Return where the papers' numbers of a group stand, as lines."""
    sources = {
        source_of(one.paper): None for one in group.configurations if one.paper
    }
    return [
        f"paper: as {source} reports it, whose protocol may be another; it is "
        "no part of the statistics"
        for source in sources
    ]
