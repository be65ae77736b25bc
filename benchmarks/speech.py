"""Rows of benchmarks/demo.py: recognition on the miniature of LibriSpeech."""

import common  # isort: skip, first: it prepares the path
from runs import finished, output_of
from table_file import tell_origins, tell_seeds, with_deviation

from petl_modules.miniatures.trials import SPEECH_METHODS, command

DATASET = "LibriSpeech"
DATASETS = [DATASET]
FILE = "_speech"
TRIAL = ("dataset", "backbone", "method", "units", "seed")
DATA = TRIAL[:1]
VALUES = ("wer", "cer", "per", "other")
PHONES = "bottleneck"  # a method that is tried with phones, too
COLUMNS = {
    "method": "{method}",
    "units": "{units}",
    "trained parameters": "{trained:,}",
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


def trials(datasets, methods, seeds):
    """Return the trials: data set, backbone, method, units, seed."""
    found = []
    for seed in seeds if DATASET in datasets else []:
        for method in (x for x in SPEECH_METHODS if x in methods):
            for units in ["characters"] + ["phones"] * (method == PHONES):
                found.append((DATASET, "wav2vec2", method, units, seed))
    return found


def run(folder, trial):
    """Return the values of a trial; run the trial if it has no result.

    Arguments
    ---------
    folder : pathlib.Path
        Where data and runs are.
    trial : tuple
        See ``trials``.
    """
    *_, method, units, seed = trial
    output = output_of(folder, trial)
    changes = {"seed": seed, "units": units}
    words = command(DATASET, method, folder, output, **changes)
    found = finished(words, output)
    (fold,) = found["folds"]
    main = found["metric"]["name"]
    rates = {rate: fold.get(f"test_{rate}") for rate in ("wer", "cer", "per")}
    rates["other"] = fold[f"test_other_{main}"]
    rates["valid"] = fold[f"valid_{main}"]
    return {
        **{k: "" if v is None else round(v, 4) for k, v in rates.items()},
        "trainable_parameters": found["trainable_parameters"],
        "seconds": round(fold["seconds"], 1),
        **found["about"],
    }


def report(rows):
    """Return the section of the Markdown file."""
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], row["units"]), []).append(row)
    lines = []
    for (method, units), found in groups.items():
        line = {"method": method, "units": units}
        line["trained"] = int(found[0]["trainable_parameters"])
        for key in VALUES:
            rates = [float(row[key]) for row in found if row[key]]
            if rates:  # words and characters, or phones
                line[key] = with_deviation(rates)
        lines.append(line)
    seeds = tell_seeds(
        ([row["seed"] for row in of] for of in groups.values()),
        "mean and standard deviation",
        "row",
    )
    head = HEAD.format(seeds=seeds)
    return f"{head}{common.table(lines, COLUMNS)}\n\n{tell_origins(rows)}"
