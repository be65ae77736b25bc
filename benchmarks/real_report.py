"""Tables of benchmarks/real.py: means, ranges and paired differences."""

from statistics import fmean

import common

from petl_modules.utils import damaged, read_csv

COLUMNS = (
    "task encoder method positions seed value folds trainable_parameters"
).split()
SOURCES = {"digits": "digits", "sounds": "sounds", "voices": "speech"}
HEADS = {
    "digits": """\
# Digits of speakers that were never heard

`recipes/FSDD`, recordings of six men, a fold each. Accuracy in %, {seeds}; in
brackets the lowest and the highest speaker. The difference to the linear probe of
the same encoder and positions is paired: mean over speakers, in brackets the lowest
and the highest. Six speakers are no sample of any population: where the differences
have both signs, the table shows no difference. A method that is no better than linear
is above it on all six by chance, once in 64: among all these rows, that is to be
expected. Guessing has 10 %.""",
    "sounds": """\
# Classes of real sounds

`recipes/ESC50`, {folds} folds by recording, all but one train a fixed number of
epochs. Accuracy in %, {seeds}; in brackets the lowest and the highest fold. The
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
leaves more: smaller differences are none. A voice has a microphone and a language
of its own, so that rates say how well recordings of one origin are told from
others, too. Untrained is the frozen encoder: cosine of mean and deviation of its frames.""",
}


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
        for task in {row["task"] for row in rows}:
            means([row for row in rows if row["task"] == task])
    except ValueError as error:
        raise damaged(path, error, remedy) from error
    return rows


def means(rows):
    """Return the rows' methods, with means over seeds.

    Arguments
    ---------
    rows : list of dict
        Rows of one task.

    Returns
    -------
    dict
        By encoder, method and positions: ``trained`` parameters, ``folds``
        (the mean over seeds of each fold), and ``seeds`` (the value of each).
    """
    groups = {}
    for row in rows:
        key = (row["encoder"], row["method"], row["positions"])
        groups.setdefault(key, []).append(row)
    found = {}
    for key, of in groups.items():
        folds = [[float(x) for x in row["folds"].split()] for row in of]
        found[key] = {
            "trained": int(of[0]["trainable_parameters"]),
            "folds": [fmean(values) for values in zip(*folds, strict=True)],
            "seeds": {str(row["seed"]): float(row["value"]) for row in of},
        }
    return found


def spread(values, form):
    """Return a mean and a range in points.

    Example
    -------
    >>> spread([0.5, 0.75, 0.7], ".1f")
    '65.0 (50.0 to 75.0)'
    """
    low, high = (format(100 * f(values), form) for f in (min, max))
    return f"{100 * fmean(values):{form}} ({low} to {high})"


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
    lines = []
    for (encoder, method, positions), of in found.items():
        values = parts(task, of)
        line = {
            "encoder": encoder,
            "method": f"{method}{', no positions' * (positions == 'zeros')}",
            "trained": of["trained"],
            "value": spread([*values.values()], ".1f"),
        }
        linear = found.get((encoder, "linear", positions))
        if linear and method != "linear":
            reference = parts(task, linear)
            both = [key for key in values if key in reference]
            pairs = [values[key] - reference[key] for key in both]
            # Values have four places, so that equal means may differ by less
            better = [round(-x if task == "voices" else x, 3) for x in pairs]
            line["difference"] = spread(pairs, "+.1f")
            line["better"] = f"{sum(x > 0 for x in better)} of {len(pairs)}"
        lines.append(line)
    columns = {
        "encoder": "{encoder}",
        "method": "{method}",
        "trained parameters": "{trained:,}",
        "EER, %" if task == "voices" else "accuracy, %": "{value}",
        "to linear": "{difference}",
        "better in": "{better}",
    }
    seeds = sorted({str(row["seed"]) for row in rows}, key=int)
    told = f"mean over seeds {', '.join(seeds)}"
    head = HEADS[task].format(
        seeds=told if len(seeds) > 1 else f"seed {seeds[0]}",
        folds=max(len(of["folds"]) for of in found.values()),
    )
    return f"{head}\n\n{common.table(lines, columns)}"


def parts(task, of):
    """Return what a range is over: the seeds of voices, else the folds."""
    return of["seeds"] if task == "voices" else dict(enumerate(of["folds"]))
