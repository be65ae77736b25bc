"""Means over folds, and the result table of a run."""

import statistics

COSTS = ("min_dcf", "min_dcf_as_norm")  # no shares: not in per cent


def means(folds):
    """Return mean and population standard deviation of each test metric.

    One fold alone has no deviation.

    Arguments
    ---------
    folds : iterable of dict
        Entries of ``summary.json``.

    Returns
    -------
    dict
        ``<metric>_mean`` and ``<metric>_std`` of each ``test_<metric>``.

    Example
    -------
    >>> means([{"test_loss": 1, "test_wer": rate} for rate in (0.25, 0.75)])
    {'wer_mean': 0.5, 'wer_std': 0.25}
    """
    folds = list(folds)
    summary = {}
    for key in folds[0]:
        name = key.removeprefix("test_")
        if name != key and not name.endswith("loss"):
            values = [fold[key] for fold in folds]
            summary[f"{name}_mean"] = statistics.fmean(values)
            if len(values) > 1:
                summary[f"{name}_std"] = statistics.pstdev(values)
    return summary


def table(summary, n_folds, metric):
    """Return a run's result table as text.

    Arguments
    ---------
    summary : dict
        The content of ``summary.json``.
    n_folds : int
        Number of folds of the protocol.
    metric : str
        The metric that selects the epoch.

    Returns
    -------
    str
    """
    columns = {
        "fold": ("fold", "{:d}"),
        "draw": ("draw", "{:d}"),
        "epochs": ("epochs", "{:d}"),
        "best": ("best_epoch", "{:d}"),
        "train %": (f"train_{metric}", "{:.2%}"),
        "valid %": (f"valid_{metric}", "{:.2%}"),
        "test %": (f"test_{metric}", "{:.2%}"),
        "last epoch's %": (f"last_epoch_test_{metric}", "{:.2%}"),
        "seconds": ("seconds", "{:.0f}"),
    }
    folds = summary["folds"]
    if "draw" not in folds[0]:
        del columns["draw"]
    rows = [list(columns)]
    for fold in folds:
        values = [(fold[key], text) for key, text in columns.values()]
        cells = ["-" if v is None else text.format(v) for v, text in values]
        rows.append([cell.rstrip("%") for cell in cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths))
        for row in rows
    ]
    start = "from scratch"
    if summary["backbone"] is not None:
        start = f"on {summary['backbone']}"
    names = [k.removesuffix("_mean") for k in summary if k.endswith("_mean")]
    skipped = len(folds[0].get("skipped_clips", []))
    left_out = f"clips left out, which cannot be read: {skipped}"
    return "\n".join(
        [
            f"{summary['dataset']}, {summary['method']} {start}, seed "
            f"{summary['seed']}",
            summary["protocol"],
            *lines,
            *([left_out] if skipped else []),
            *(
                f"{name.replace('_', ' ')} {_spread(summary, name)} over "
                f"{_extent(folds, n_folds)}"
                for name in names
            ),
            f"trained parameters {summary['trainable_parameters']:,} "
            f"({summary['petl_parameters']:,} without the head) "
            f"of {summary['total_parameters']:,}",
        ]
    )


def _spread(summary, metric):
    """Return a mean as text, with its deviation if there are several."""
    unit, digits, name = 100, 2, " %"
    if metric in COSTS:
        unit, digits, name = 1, 4, ""
    text = f"{unit * summary[f'{metric}_mean']:.{digits}f}"
    if len(summary["folds"]) > 1:
        text += f" ± {unit * summary[f'{metric}_std']:.{digits}f}"
    return text + name


def _extent(folds, n_folds):
    """Return the number of folds and draws of a mean as text."""
    some = len({fold["fold"] for fold in folds})
    text = f"{some} " + (
        "folds" if some == n_folds > 1 else f"of {n_folds} folds"
    )
    if n_folds == 1:
        text = "the test part"
    draws = len({fold.get("draw", 1) for fold in folds})
    return text + (f", {draws} draws" if draws > 1 else "")
