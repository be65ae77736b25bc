"""Figure of benchmarks/real.py: a dot for each speaker, fold or seed."""

import logging
from statistics import fmean

import common  # noqa: F401  first: it prepares the path
import real_report
from real_trials import TASKS

COLORS = {
    "tiny-ast": "C2",
    "tiny-wav2vec2": "C1",
    "small-wav2vec2": "C0",
}
TITLES = {
    "digits": "digits: a dot a speaker",
    "sounds": "sounds: a dot a fold",
    "voices": "voices: a dot a seed",
}


def draw(path, rows):
    """Draw a panel for each task: methods from left to right, encoders beside.

    A dot is the mean over seeds of a speaker or fold, a line the mean of the
    dots. Runs without positions are left out.

    Arguments
    ---------
    path : pathlib.Path
        The image file to write.
    rows : list of dict
        Rows of real.csv.
    """
    # Matplotlib logs each font it tries
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    rows = [row for row in rows if row["positions"] != "zeros"]
    tasks = [task for task in TITLES if any(r["task"] == task for r in rows)]
    figure = Figure(figsize=(9, 3.2 * len(tasks)), layout="constrained")
    places = figure.subplots(len(tasks), 1, squeeze=False).flat
    for axes, task in zip(places, tasks):
        panel(axes, task, [row for row in rows if row["task"] == task])
    figure.savefig(path, dpi=120)


def panel(axes, task, rows):
    """Draw the dots of a task."""
    found = real_report.means(rows)
    present = {method for _, method, _ in found}
    methods = [method for method in TASKS[task][1] if method in present]
    encoders = [x for x in COLORS if any(x == of for of, _, _ in found)]
    width = 0.7 / len(encoders)
    for (encoder, method, _), of in found.items():
        place = methods.index(method)
        place += width * (encoders.index(encoder) - (len(encoders) - 1) / 2)
        values = [100 * x for x in real_report.parts(task, of).values()]
        color = COLORS[encoder]
        axes.plot([place] * len(values), values, "o", c=color, ms=4, alpha=0.6)
        ends = (place - 0.4 * width, place + 0.4 * width)
        axes.hlines(fmean(values), *ends, color=color, lw=2)
    for encoder in encoders:
        axes.plot([], [], "o", color=COLORS[encoder], label=encoder)
    axes.set_xticks(range(len(methods)), methods, rotation=30, ha="right")
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.set_ylabel("EER, %" if task == "voices" else "accuracy, %")
    axes.set_title(TITLES[task])
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
