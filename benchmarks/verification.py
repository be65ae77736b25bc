"""Time of the steps of speaker verification, from files to error rates.

    python benchmarks/verification.py
    python benchmarks/verification.py --kind wav2vec2 --batch 8

Preparation reads the generated miniature of VoxCeleb1. A training step and the
embedding of a clip are those of LoRA on an encoder of the published size, with
random weights; trials are of random vectors. On a CPU the time is that of the
process and its workers on all cores, which other processes disturb less than the
clock on the wall.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import common  # isort: skip, first: it prepares the path
import numpy as np
import torch

from petl_modules.data.prepare import read_manifest
from petl_modules.miniatures.corpus import write_miniature
from petl_modules.runs import RecipeFile
from petl_modules.verification import (
    error_curve,
    score_trials,
    unit_vectors,
)

RECIPE = common.ROOT / "recipes" / "VoxCeleb1"
CLIPS, SIZE = 4874, 192  # of the test part, and of an embedding
LISTED, LARGE = 37_611, 600_000  # trials
SPEAKERS = 1211
COLUMNS = {
    "step": "{what}",
    "of": "{of}",
    "s": "{seconds:.3f}",
    "ms each": "{milliseconds:.4f}",
}


def cpu_seconds():
    """Return the time of this process and of its ended workers on the CPU."""
    used = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def preparing(folder):
    """Return the preparation, and its number of clips."""
    data = write_miniature("VoxCeleb1", folder / "data")
    sys.path.insert(0, str(RECIPE))
    from voxceleb1_prepare import prepare_voxceleb1

    def prepare():
        with tempfile.TemporaryDirectory(dir=folder) as manifests:
            path, _ = prepare_voxceleb1(
                str(data), manifests, allow_partial=True
            )
            return read_manifest(path)

    return prepare, len(prepare())


def training(chosen, folder):
    """Return a training step and the embedding of one clip."""
    common.write_backbone(chosen.kind, folder / "backbone")
    base = {"ast": None, "wav2vec2": "wav2vec2.yaml"}[chosen.kind]
    recipe = RecipeFile.read(RECIPE / "hparams" / "lora.yaml", base)
    labels = [str(label) for label in range(SPEAKERS)]
    recipe.update({"backbone": str(folder / "backbone"), "labels": labels})
    made = recipe.make(["model", "loss", "opt_class"])
    model = made["model"].to(chosen.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = made["opt_class"](trained)
    shape = (recipe.tree["frames"], 128) if chosen.kind == "ast" else (48_000,)
    inputs = torch.randn(chosen.batch, *shape, device=chosen.device)
    targets = torch.arange(chosen.batch, device=chosen.device)

    def step():
        model.train()
        made["loss"](model(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    def embed():
        model.eval()
        with torch.inference_mode():
            model.embed(inputs[:1])

    return step, embed


def scoring(rng):
    """Return scores of both lists of trials, and the rates of the larger."""
    clips = [str(clip) for clip in range(CLIPS)]
    units = unit_vectors(clips, rng.standard_normal((CLIPS, 1, SIZE)))
    steps = {}
    for trials in (LISTED, LARGE):
        sides = rng.integers(0, CLIPS, (2, trials))
        steps[trials] = partial(score_trials, units, *sides)
    scores, same = steps[LARGE](), rng.random(LARGE) < 0.5

    def rates():
        curve = error_curve(scores, same)
        return curve.eer(), curve.min_dcf()

    return steps, rates


def read_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=common.HPARAMS, default="ast")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    return chosen


def main():
    """Measure all steps in turn, and print the table."""
    chosen = read_arguments()
    with tempfile.TemporaryDirectory() as folder:
        prepare, clips = preparing(Path(folder))
        step, embed = training(chosen, Path(folder))
        scores, rates = scoring(np.random.default_rng(0))
        runs = {
            ("prepare", f"{clips} clips"): (prepare, clips),
            ("training step", f"{chosen.batch} clips"): (step, chosen.batch),
            ("embedding", "1 clip"): (embed, 1),
            ("scores", f"{LISTED:,} trials"): (scores[LISTED], LISTED),
            ("scores", f"{LARGE:,} trials"): (scores[LARGE], LARGE),
            ("EER and minDCF", f"{LARGE:,} trials"): (rates, LARGE),
        }
        on_cpu = torch.device(chosen.device).type == "cpu"
        times = common.interleaved(
            {name: run for name, (run, _) in runs.items()},
            chosen.repeats,
            chosen.device,
            cpu_seconds if on_cpu else time.perf_counter,
        )
    rows = []
    for name, (_, count) in runs.items():
        seconds = median(times[name])
        rows.append({"what": name[0], "of": name[1], "seconds": seconds})
        rows[-1]["milliseconds"] = 1e3 * seconds / count
    print(common.table(rows, COLUMNS))
    settings = {key: getattr(chosen, key) for key in ("kind", "batch")}
    common.write_report(chosen.json, rows, chosen.device, **settings)


if __name__ == "__main__":
    main()
