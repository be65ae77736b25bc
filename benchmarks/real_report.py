"""Tables of benchmarks/real.py: means, ranges and paired differences."""

from statistics import fmean

import common
from table_file import tell_origins, tell_seeds

SOURCES = {"digits": "digits", "sounds": "sounds", "voices": "speech"}
HEADS = {
    "digits": """\
# Digits of speakers that were never heard

`recipes/FSDD`, recordings of six men, a fold each. Accuracy in %, {seeds}; in
brackets the lowest and the highest speaker. The difference to the linear probe of
the same encoder and positions is paired: mean over speakers, in brackets the lowest
and the highest. Six speakers are no sample of any population: where the differences
have both signs, the table shows no difference. A method exactly as good as linear would
be above it on all six once in 64, if speakers were independent: one such row among
all of these proves nothing, and methods share the speakers. Guessing has 10 %.""",
    "sounds": """\
# Classes of real sounds

`recipes/ESC50`, {folds} folds by recording, each tested once after a fixed number of
epochs on all others. Accuracy in %, {seeds}; in brackets the lowest and the
highest fold, all of the same weight in the mean. The
difference to the linear probe of the same positions is paired: mean over folds, in
brackets the lowest and the highest. With 80 clips of ten classes, as in the table of
the repository, folds are of 6 to 24 clips, the smaller ones without some classes: one
clip is 4 to 17 points of its fold, and where the differences have both signs, the
table shows no difference. Accuracies on a part of ESC-50 are no ESC-50 results.""",
    "voices": """\
# Voices of recordings

`templates/speaker_verification` on the corpus of `tools/real_voices.py`. Equal
error rate (EER) in %, {seeds}; in brackets the lowest and the highest seed, as
there is one set of test voices. The difference to linear is of the same encoder,
paired over seeds. 756 independent trials of each kind would leave a rate a standard
error of about 1.5 points; those of one voice are alike and the voices are 36, which
leaves more: differences of one or two points show nothing. A voice has a microphone and a language
of its own, so that rates say how well recordings of one origin are told from
others, too. Untrained is the frozen encoder: cosine of mean and deviation of its frames.""",
}


def means(rows):
    """Return the rows' methods, with means over seeds.

    Arguments
    ---------
    rows : list of dict
        Rows of one task.

    Returns
    -------
    dict
        By encoder, method and positions: ``trained`` parameters, ``runs``
        (the values of folds by seed), ``folds`` (the mean over seeds of each
        fold), and ``seeds`` (the value of each).
    """
    groups = {}
    for row in rows:
        key = (row["encoder"], row["method"], row["positions"])
        groups.setdefault(key, []).append(row)
    found = {}
    for key, of in groups.items():
        runs = {
            int(row["seed"]): [float(x) for x in row["folds"].split()]
            for row in of
        }
        found[key] = {
            "trained": int(of[0]["trainable_parameters"]),
            "runs": runs,
            "folds": mean_of_folds(runs.values()),
            "seeds": {int(row["seed"]): float(row["value"]) for row in of},
        }
    return found


def mean_of_folds(runs):
    """Return the mean over runs of each fold."""
    return [fmean(values) for values in zip(*runs, strict=True)]


def spread(values, form):
    """Return a mean in points, and the range of several values.

    Example
    -------
    >>> spread([0.5, 0.75, 0.7], ".1f")
    '65.0 (50.0 to 75.0)'
    """
    mean, low, high = (format(100 * f(values), form) for f in (fmean, min, max))
    return f"{mean} ({low} to {high})" if len(values) > 1 else mean


def report(rows):
    """Return the Markdown file: a section for each task.

    Arguments
    ---------
    rows : list of dict
        All rows of real.csv.

    Returns
    -------
    str
    """
    tasks = {row["task"]: [] for row in rows}
    for row in rows:
        tasks[row["task"]].append(row)
    return "\n\n".join(section(task, of) for task, of in tasks.items()) + "\n"


def section(task, rows):
    """Return the section of a task in the Markdown file.

    Arguments
    ---------
    task : str
        A key of ``HEADS``.
    rows : list of dict
        The task's rows of real.csv.

    Returns
    -------
    str
    """
    found = means(rows)
    columns = {
        "encoder": "{encoder}",
        "method": "{method}",
        "trained parameters": "{trained:,}",
        "EER, %" if task == "voices" else "accuracy, %": "{value}",
        "to linear": "{difference}",
        "better in": "{better}",
    }
    if len({frozenset(of["seeds"]) for of in found.values()}) > 1:
        columns["seeds"] = "{seeds}"
    seeds = tell_seeds((of["seeds"] for of in found.values()), "mean", "row")
    folds = max(len(of["folds"]) for of in found.values())
    head = HEADS[task].format(seeds=seeds, folds=folds)
    table = common.table([line(task, key, found) for key in found], columns)
    end = (
        f'`make bench-real ARGS="--{SOURCES[task]} DIR"`, on '
        f"{rows[0]['clips']} clips. {tell_origins(rows)}"
    )
    return f"{head}\n\n{table}\n\n{end}"


def line(task, key, found):
    """Return a line of a task's table, with its difference to linear.

    Both sides of a difference have the same seeds.
    """
    (encoder, method, positions), of = key, found[key]
    cells = {
        "encoder": encoder,
        "method": name_of(method, positions),
        "trained": of["trained"],
        "value": spread([*parts(task, of).values()], ".1f"),
        "seeds": listed(sorted(of["seeds"])),
    }
    linear = found.get((encoder, "linear", positions), {"seeds": {}})
    both = sorted(of["seeds"].keys() & linear["seeds"].keys())
    if method == "linear" or not both:
        return cells
    if task == "voices":
        values, reference = (
            [x["seeds"][seed] for seed in both] for x in (of, linear)
        )
    else:
        values, reference = (
            mean_of_folds(x["runs"][seed] for seed in both)
            for x in (of, linear)
        )
    pairs = [x - y for x, y in zip(values, reference, strict=True)]
    # Values have four places, so that equal means may differ by less
    better = [round(-x if task == "voices" else x, 3) for x in pairs]
    cells["difference"] = spread(pairs, "+.1f")
    cells["better"] = f"{sum(x > 0 for x in better)} of {len(pairs)}"
    return cells


def name_of(method, positions):
    """Return what a row is called."""
    return f"{method}{', no positions' * (positions == 'zeros')}"


def listed(values):
    """Return values as one text."""
    return ", ".join(map(str, values))


def parts(task, of):
    """Return what a range is over: the seeds of voices, else the folds."""
    return of["seeds"] if task == "voices" else dict(enumerate(of["folds"]))
