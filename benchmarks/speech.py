"""Rows of benchmarks/demo.py: recognition on the miniature of LibriSpeech."""

import statistics

import common  # isort: skip, first: it prepares the path

from petl_modules.miniatures.trials import command

DATASET = "LibriSpeech"
PHONES = "bottleneck"  # a method that is tried with phones, too
RATES = ("wer", "cer", "per")
COLUMNS = {
    "method": "{method}",
    "units": "{units}",
    "trained parameters": "{trainable_parameters:,}",
    "WER, %": "{wer}",
    "CER, %": "{cer}",
    "PER, %": "{per}",
    "test-other, %": "{other}",
}
HEAD = """\
# Recognition on the miniature of LibriSpeech

tiny-wav2vec2 with a linear head on every frame, {seeds}. Error rates of words
(WER), characters (CER) and phones (PER) on test-clean: 64 sentences of eight
speakers, others than the eight that are trained on. The last column is the WER,
or PER, on test-other, which is noisier. Greedy decoding, no language model.

"""


def trials(methods, seeds):
    """Return the trials: method, units, seed."""
    found = []
    for seed in seeds:
        found += [(method, "characters", seed) for method in methods]
        if PHONES in methods:
            found.append((PHONES, "phones", seed))
    return found


def run(folder, trial, finished):
    """Return the row of a trial.

    Arguments
    ---------
    folder : pathlib.Path
        Where data and runs are.
    trial : tuple
        See ``trials``.
    finished : callable
        Runs a command line, unless the output folder has its result, and
        returns the run's summary.
    """
    method, units, seed = trial
    output = folder.joinpath("recognition", *map(str, trial))
    changes = {"seed": seed, "units": units}
    words = command(DATASET, method, folder, output, **changes)
    found = finished(words, output / "summary.json")
    (fold,) = found["folds"]
    rates = {rate: fold.get(f"test_{rate}") for rate in RATES}
    main = found["metric"]["name"]
    rates["other"] = fold[f"test_other_{main}"]
    rates["valid"] = fold[f"valid_{main}"]
    return {
        "dataset": DATASET,
        "backbone": "wav2vec2",
        "method": method,
        "units": units,
        "seed": seed,
        **{k: "" if v is None else round(v, 4) for k, v in rates.items()},
        "trainable_parameters": found["trainable_parameters"],
        "seconds": round(fold["seconds"], 1),
    }


def report(rows, seeds):
    """Return the section of the Markdown file."""
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], row["units"]), []).append(row)
    lines = []
    for found in groups.values():
        line = dict(found[0])
        for key in (*RATES, "other"):
            rates = [100 * row[key] for row in found if row[key] != ""]
            line[key] = f"{statistics.fmean(rates):.1f}" if rates else "-"
            if len(rates) > 1:
                line[key] += f" ± {statistics.pstdev(rates):.1f}"
        lines.append(line)
    if "," in seeds:
        seeds = f"mean and standard deviation over seeds {seeds}"
    else:
        seeds = f"seed {seeds}"
    return HEAD.format(seeds=seeds) + common.table(lines, COLUMNS)
