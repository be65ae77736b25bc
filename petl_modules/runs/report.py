"""The means over folds, and the table of a run.

Authors
 * The PETL audio recipes team 2026
"""

import statistics


def means(folds):
    """Mean and population standard deviation of each test metric.

    Arguments
    ---------
    folds : iterable of dict
        Entries of ``summary.json``.

    Returns
    -------
    dict
        ``accuracy_mean``, ``accuracy_std``, and the same of other metrics.

    Example
    -------
    >>> means([{"test_loss": 1, "test_accuracy": a} for a in (0.25, 0.75)])
    {'accuracy_mean': 0.5, 'accuracy_std': 0.25}
    """
    folds = list(folds)
    found = {}
    for key in folds[0]:
        name = key.removeprefix("test_")
        if name not in (key, "loss"):
            values = [fold[key] for fold in folds]
            found[f"{name}_mean"] = statistics.fmean(values)
            found[f"{name}_std"] = statistics.pstdev(values)
    return found


def table(summary, n_folds):
    """A run's folds and their mean, for the screen.

    Arguments
    ---------
    summary : dict
        As in ``summary.json``.
    n_folds : int
        How many folds the protocol has.

    Returns
    -------
    str
    """
    columns = {
        "fold": ("fold", "{:d}"),
        "draw": ("draw", "{:d}"),
        "epochs": ("epochs", "{:d}"),
        "best": ("best_epoch", "{:d}"),
        "train %": ("train_accuracy", "{:.2%}"),
        "valid %": ("valid_accuracy", "{:.2%}"),
        "test %": ("test_accuracy", "{:.2%}"),
        "last epoch's %": ("last_epoch_test_accuracy", "{:.2%}"),
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
    metrics = [k.removesuffix("_mean") for k in summary if k.endswith("_mean")]
    return "\n".join(
        [
            f"{summary['dataset']}, {summary['method']} on "
            f"{summary['backbone']}, seed {summary['seed']}",
            summary["protocol"],
            *lines,
            *(
                f"{metric.replace('_', ' ')} {_spread(summary, metric)} % "
                f"over {_extent(folds, n_folds)}"
                for metric in metrics
            ),
            f"trained parameters {summary['trainable_parameters']:,} "
            f"({summary['petl_parameters']:,} without the head) "
            f"of {summary['total_parameters']:,}",
        ]
    )


def _spread(summary, metric):
    """A mean in per cent, and its deviation where there are several values."""
    text = f"{100 * summary[f'{metric}_mean']:.2f}"
    if len(summary["folds"]) > 1:
        text += f" ± {100 * summary[f'{metric}_std']:.2f}"
    return text


def _extent(folds, n_folds):
    """How many folds and draws a mean is over."""
    some = len({fold["fold"] for fold in folds})
    text = f"{some} " + (
        "folds" if some == n_folds > 1 else f"of {n_folds} folds"
    )
    if n_folds == 1:
        text = "the test part"
    draws = len({fold.get("draw", 1) for fold in folds})
    return text + (f", {draws} draws" if draws > 1 else "")
