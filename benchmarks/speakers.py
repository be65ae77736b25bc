"""Rows of benchmarks/demo.py: verification on the miniature of VoxCeleb1."""

import common  # isort: skip, first: it prepares the path
from runs import finished, output_of
from table_file import tell_origins, tell_seeds, with_deviation

from petl_modules.miniatures.trials import SCRATCH, SPEAKER_METHODS, command

DATASET = "VoxCeleb1"
DATASETS = [DATASET]
FILE = "_speakers"
TRIAL = ("dataset", "backbone", "method", "seed")
DATA = TRIAL[:2]  # a clip is used in part or whole
VALUES = ("eer", "valid_eer")
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
    "trained parameters": "{trained:,}",
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


def trials(datasets, methods, seeds):
    """Return the trials: data set, backbone, method, seed."""
    found = []
    for seed in seeds if DATASET in datasets else []:
        for backbone in BACKBONES:
            of = [
                m
                for m in SPEAKER_METHODS
                if m in methods and (m in SCRATCH) == (backbone == "scratch")
            ]
            names = ["untrained", *of] if of else []
            found += [(DATASET, backbone, name, seed) for name in names]
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
    _, backbone, method, seed = trial
    changes, stem = {}, method
    if method == "untrained":
        stem, changes = UNTRAINED[backbone]
        changes = {**changes, "number_of_epochs": 1}
    output = output_of(folder, trial)
    own = {} if backbone == "scratch" else {"backbone": backbone}
    words = command(DATASET, stem, folder, output, seed=seed, **own, **changes)
    found = finished(words, output)
    (fold,) = found["folds"]
    trained = found["trainable_parameters"] if method != "untrained" else 0
    return {
        "eer": round(fold["test_eer"], 4),
        "valid_eer": round(fold["valid_eer"], 4),
        "trainable_parameters": trained,
        "seconds": round(fold["seconds"], 1),
        **found["about"],
    }


def report(rows):
    """Return the section of the Markdown file."""
    groups = {}
    for row in rows:
        groups.setdefault((row["backbone"], row["method"]), []).append(row)
    lines = []
    for (backbone, method), found in groups.items():
        line = {"backbone": BACKBONES[backbone], "method": method}
        line["trained"] = int(found[0]["trainable_parameters"])
        for key in VALUES:
            line[key] = with_deviation([float(row[key]) for row in found])
        lines.append(line)
    seeds = tell_seeds(
        ([row["seed"] for row in of] for of in groups.values()),
        "mean and standard deviation",
        "row",
    )
    head = HEAD.format(seeds=seeds, miniature=MINIATURE_SEED)
    return f"{head}{common.table(lines, COLUMNS)}\n\n{tell_origins(rows)}"
