"""Confusion matrix of a classifier, as a table and as a figure."""

import csv
import io
import logging

import numpy as np

from petl_modules.utils import DataError, write_text

LEGIBLE = 100  # classes: with more, the figure has no names and numbers


def write_confusion(folder, predictions, labels):
    """Write the confusion matrix, ``confusion.csv`` and ``confusion.png``.

    Rows are true classes, columns predicted classes. The figure shows the
    classes that occur.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the two files.
    predictions : list of dict
        Each with ``label`` and ``predicted``.
    labels : list of str
        All class names, in their order.

    Raises
    ------
    DataError
        A prediction has another class.
    """
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    for row in predictions:
        for key in ("label", "predicted"):
            if row.get(key) not in index:
                raise DataError(
                    f"a predictions.csv in {folder} is damaged: the {key} of "
                    f"{row.get('id')} is {row.get(key)!r}, which is none of "
                    "the classes. Delete that fold's folder, and the same "
                    "command trains it again"
                )
        counts[index[row["label"]], index[row["predicted"]]] += 1
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["label", *labels])
    for label, line in zip(labels, counts):
        writer.writerow([label, *map(int, line)])
    write_text(folder / "confusion.csv", stream.getvalue())
    seen = np.flatnonzero(counts.sum(0) + counts.sum(1))
    draw_confusion(
        folder / "confusion.png",
        counts[np.ix_(seen, seen)],
        [labels[i] for i in seen],
    )


def draw_confusion(path, counts, labels):
    """Draw a confusion matrix, normalised over each true class.

    Arguments
    ---------
    path : pathlib.Path
        The image file to write.
    counts : numpy.ndarray
        ``[true, predicted]``.
    labels : list of str
        Names of rows and columns.
    """
    # Matplotlib logs each font it tries, and the run's log keeps all levels
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    legible = len(labels) <= LEGIBLE
    size = max(4, 1.5 + 0.25 * len(labels)) if legible else 12
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    if legible:
        text = {"fontsize": 8, "parse_math": False}
        axes.set_xticks(range(len(labels)), labels, rotation=90, **text)
        axes.set_yticks(range(len(labels)), labels, **text)
    right = np.trace(counts) / max(counts.sum(), 1)
    figure.suptitle(f"{counts.sum():,} test clips, {right:.2%} right")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in zip(*np.nonzero(counts)) if legible else ():
        dark = shares[row, column] > 0.5
        axes.text(
            column,
            row,
            counts[row, column],
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark else "black",
        )
    figure.savefig(path, dpi=150)
