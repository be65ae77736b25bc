"""Rows of benchmarks/demo.py: verification on the miniature of VoxCeleb1."""

import statistics

import common  # isort: skip, first: it prepares the path

from petl_modules.miniatures.trials import SCRATCH, command

DATASET = "VoxCeleb1"
# The settings of petl_modules.miniatures.trials were chosen on the speakers of
# seed 0: those of the table are others
MINIATURE_SEED = 1
# Both encoders are frozen and pooled, with no embedding: the head, which a
# comparison does not use, is all that is trained. The steps of the model from
# scratch are too small to change a weight.
UNTRAINED = {
    "ast": ("linear", {"embedding": "null", "train_norms": False}),
    "wav2vec2": ("linear", {"embedding": "null", "train_norms": False}),
    "scratch": ("ecapa", {"lr": 1e-12}),
}
BACKBONES = {"ast": "tiny-ast", "wav2vec2": "tiny-wav2vec2", "scratch": "none"}
COLUMNS = {
    "encoder": "{backbone}",
    "method": "{method}",
    "trained parameters": "{trainable_parameters:,}",
    "test EER, %": "{eer}",
    "validation EER, %": "{valid_eer}",
}


HEAD = """\
# Speaker verification on the miniature of VoxCeleb1

Equal error rate (EER), {seeds}. A seed draws weights and the four speakers that
validate; twelve speakers train, eight others test, in 768 trials. The
speakers are those of the miniature's `--seed {miniature}`, and the settings were
chosen on those of its seed 0. The epoch with
the lowest validation EER is tested. Untrained is the frozen encoder: cosine of
mean and deviation of its tokens, averaged over windows (AST) or over the whole
clip (wav2vec 2.0); without an encoder, ECAPA-TDNN with random weights, whose
norms have seen the clips of one epoch.

"""


def trials(methods, seeds):
    """Return the trials: backbone, method, seed."""
    found = []
    for seed in seeds:
        for backbone in BACKBONES:
            of = [
                m for m in methods if (m in SCRATCH) == (backbone == "scratch")
            ]
            found += [(backbone, m, seed) for m in ("untrained", *of) if of]
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
    backbone, method, seed = trial
    changes, stem = {}, method
    if method == "untrained":
        stem, changes = UNTRAINED[backbone]
        changes = {**changes, "number_of_epochs": 1}
    output = folder.joinpath(DATASET, *map(str, trial))
    own = {} if backbone == "scratch" else {"backbone": backbone}
    words = command(DATASET, stem, folder, output, seed=seed, **own, **changes)
    found = finished(words, output / "summary.json")
    (fold,) = found["folds"]
    trained = found["trainable_parameters"] if method != "untrained" else 0
    return {
        "dataset": DATASET,
        "backbone": backbone,
        "method": method,
        "seed": seed,
        "eer": round(fold["test_eer"], 4),
        "valid_eer": round(fold["valid_eer"], 4),
        "trainable_parameters": trained,
        "seconds": round(fold["seconds"], 1),
    }


def report(rows, seeds):
    """Return the section of the Markdown file."""
    groups = {}
    for row in rows:
        key = (row["backbone"], row["method"])
        groups.setdefault(key, []).append(row)
    lines = []
    for (backbone, _), found in groups.items():
        line = {**found[0], "backbone": BACKBONES[backbone]}
        for key in ("eer", "valid_eer"):
            rates = [100 * row[key] for row in found]
            line[key] = f"{statistics.fmean(rates):.1f}"
            if len(rates) > 1:
                line[key] += f" ± {statistics.pstdev(rates):.1f}"
        lines.append(line)
    if "," in seeds:
        seeds = f"mean and standard deviation over seeds {seeds}"
    else:
        seeds = f"seed {seeds}"
    return HEAD.format(seeds=seeds, miniature=MINIATURE_SEED) + common.table(
        lines, COLUMNS
    )
