"""The plan of a miniature: its sounds and its tables."""

import csv
import io
from dataclasses import dataclass, field


@dataclass
class Plan:
    """The files of a miniature.

    Arguments
    ---------
    sounds : dict
        From path to sampling rate and a function of a
        ``numpy.random.Generator`` that gives the samples.
    texts : dict
        From path to content.
    """

    sounds: dict = field(default_factory=dict)
    texts: dict = field(default_factory=dict)


def csv_text(columns, rows):
    """Return a CSV table as text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()
