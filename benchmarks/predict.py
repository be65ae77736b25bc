"""Classification of many files: ours, and a plain loop of Hugging Face.

    python benchmarks/predict.py --files 1000

``one by one`` is the loop that comes to mind first: read a file, call the
feature extractor, call the model. ``batches`` is ``AudioClassifier`` on the
list, ``command`` is ``python -m petl_modules.predict`` with the start of
Python, and ``encoder`` the model alone on features that are in memory. The
same encoder and head, in turn, in one process; the probabilities are compared.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import numpy as np
import soundfile
import torch
from transformers import ASTFeatureExtractor

from petl_modules.inference import AudioClassifier
from petl_modules.miniatures.environment import synthesize
from petl_modules.models import WEIGHTS, save_trained
from petl_modules.runs import RecipeFile, fill_in_input

RATE = 16_000
SOUNDS = "dog", "rooster", "rain", "siren"
COLUMNS = {
    "files of 1 s": "{files}",
    "way": "{way}",
    "seconds": "{seconds:.2f}",
    "files/s": "{per_second:.0f}",
    "to the loop": "{ratio:.2f}",
    "difference": "{difference:.1e}",
}


def write_run(folder, backbone):
    """Write a fold whose head is random; return it."""
    recipe = RecipeFile.read(common.HPARAMS["ast"] / "linear.yaml")
    recipe.update(
        {
            "backbone": str(backbone),
            "labels": [str(label) for label in range(50)],
            "frames": 100,
            "output_folder": str(folder),
        }
    )
    fill_in_input(recipe)
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(recipe.text, encoding="utf-8")
    torch.manual_seed(0)
    model = recipe.make(["model"])["model"]
    save_trained(model, folder / WEIGHTS)
    return folder


def write_files(folder, count):
    """Write clips of one second; return their paths."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    paths = [str(folder / f"{index:04}.wav") for index in range(count)]
    for index, path in enumerate(paths):
        kind = SOUNDS[index % len(SOUNDS)]
        samples = synthesize(kind, draw, 1.0, RATE)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
    return paths


class Loop:
    """The plain loop: the model's parts by Hugging Face and PyTorch."""

    def __init__(self, classifier, backbone):
        self.extract = ASTFeatureExtractor.from_pretrained(
            backbone, max_length=classifier.trained.features.frames
        )
        model = classifier.trained.model
        self.encoder, self.head = model.encoder.backbone.model, model.head

    @torch.inference_mode()
    def __call__(self, paths):
        rows = []
        for path in paths:
            samples, rate = soundfile.read(path, dtype="float32")
            batch = self.extract(samples, rate, return_tensors="pt")
            hidden = self.encoder(**batch).last_hidden_state
            rows.append(self.head(hidden.mean(1)).softmax(-1)[0])
        return torch.stack(rows).numpy()


@torch.inference_mode()
def run_encoder(model, batches):
    """Run the model on batches of features."""
    return [model(batch) for batch in batches]


def command(run, paths):
    """Run the command line on all files."""
    words = [sys.executable, "-m", "petl_modules.predict", str(run), *paths]
    environment = {**os.environ, "PYTHONPATH": str(common.ROOT)}
    subprocess.run(words, check=True, env=environment, capture_output=True)


def measure(folder, count, batch_size, backbone, repeats):
    """Return rows of seconds of the ways."""
    run = write_run(folder / "run", backbone)
    paths = write_files(folder / "sounds", count)
    classifier = AudioClassifier(run)
    loop = Loop(classifier, backbone)
    trained = classifier.trained
    clips = [trained.read(path).samples for path in paths]
    features = torch.stack([trained.features(clip) for clip in clips])
    batches = features.split(batch_size)
    runs = {
        "one by one": lambda: loop(paths),
        "batches": lambda: classifier.predict_proba(paths, batch_size),
        "encoder": lambda: run_encoder(trained.model, batches),
    }
    expected, found = loop(paths), classifier.predict_proba(paths, batch_size)
    times = common.interleaved(runs, repeats)
    times["command"] = []
    for _ in range(repeats):
        start = time.perf_counter()
        command(run, paths)
        times["command"].append(time.perf_counter() - start)
    difference = {"batches": np.abs(expected - found).max()}
    slow = statistics.median(times["one by one"])
    return [
        {
            "files": count,
            "way": way,
            "seconds": (middle := statistics.median(seconds)),
            "per_second": count / middle,
            "ratio": middle / slow,
            **(
                {"difference": float(difference[way])}
                if way in difference
                else {}
            ),
        }
        for way, seconds in times.items()
    ]


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--backbone", default=str(common.ROOT / "pretrained" / "tiny-ast")
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(
            Path(folder),
            chosen.files,
            chosen.batch_size,
            chosen.backbone,
            chosen.repeats,
        )
    print(common.table(rows, COLUMNS))
    facts = {"batch_size": chosen.batch_size, "backbone": chosen.backbone}
    common.write_report(chosen.json, rows, **facts)


if __name__ == "__main__":
    main()
