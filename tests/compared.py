"""Folders of finished runs to compare, written without training."""

import functools
import json
import re
from pathlib import Path
from unittest import mock

import torch

from petl_modules.data.prepare import write_manifest
from petl_modules.models.weights_file import write_trained
from petl_modules.runs import RecipeFile, fold_files
from petl_modules.runs.plan import folder_name
from petl_modules.runs.run_data import claim_data
from petl_modules.runs.summary import build_summary
from petl_modules.utils import write_json
from tests.trained import ROOT

TEMPLATES = {
    "accuracy": "audio_classification",
    "eer": "speaker_verification",
    "wer": "speech_recognition",
}
MACHINE = {
    "device": "cpu x86_64",
    "processes": 1,
    "peak_memory_bytes": 5 * 10**8,
    "commit": "0123456789ab",
    "versions": {"torch": "2.11.0"},
}


class Model:
    """Stands for a trained model, of which its numbers are known."""

    def __init__(self, trainable):
        self.trainable = trainable

    def count_parameters(self):
        counts = {"total": 900_000, "trainable": self.trainable}
        counts["petl"] = max(0, self.trainable - 100)
        return {f"{name}_parameters": n for name, n in counts.items()}


def save_weights(model, path):
    """Write a file of weights in place of the model's."""
    about = {"encoder": {"backbone": {}, "methods": []}}
    write_trained({"head.weight": torch.ones(2)}, about, path)


@functools.cache
def merged(template, method):
    """The text of a method's recipe file, merged with its base."""
    path = ROOT / "templates" / template / "hparams" / f"{method}.yaml"
    return RecipeFile.read(path).text


def recipe_text(template, method, values):
    """The same, with other values of keys that take one line."""
    text = merged(template, method)
    for key, value in values.items():
        line = re.compile(rf"^{key}: .*$", re.M)
        assert line.search(text), key
        text = line.sub(lambda _: f"{key}: {json.dumps(value)}", text)
    return text


def records_of(folds, clips=20, **more):
    """A manifest of numbered clips in folds; ``more`` is called with a number."""
    return {
        f"clip{i:03}": {
            "wav": f"{{data_root}}/{i}.wav",
            "fold": i % folds + 1,
            **{key: make(i) for key, make in more.items()},
        }
        for i in range(folds * clips)
    }


def write_compared(
    folder,
    method,
    values,
    *,
    seed=1,
    metric="accuracy",
    records=None,
    rows=None,
    trainable=1000,
    facts=True,
    dataset="birds",
    protocol="5 folds: test k, validation k + 1, train 3",
    **changes,
):
    """Write a finished run.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    method : str
        The stem of a recipe file.
    values : dict
        The test metric by fold, or by fold and draw.
    seed, metric, dataset, protocol
        What the summary says.
    records : dict or None
        The manifest, which is written beside the runs. None: no data.json.
    rows : callable or None
        Makes the rows of ``predictions.csv`` of a fold.
    trainable : int
        Number of trained parameters.
    facts : bool
        Whether results say how they came about.
    **changes
        Keys of the recipe file.
    """
    folder = Path(folder)
    mode = "max" if metric == "accuracy" else "min"
    place = folder.parent / "manifests"
    changes |= {"manifest_folder": str(place), "seed": seed}
    changes |= {"dataset": dataset, "output_folder": str(folder)}
    text = recipe_text(TEMPLATES[metric], method, changes)
    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
    if records is not None:
        claim_data(folder, records, 1)
        write_manifest(place / f"{dataset}.json", records)
    model = Model(trainable)
    for key, value in values.items():
        fold, draw = key if isinstance(key, tuple) else (key, 1)
        own = folder / folder_name(fold, draw)
        own.mkdir()
        (own / "hyperparams.yaml").write_text(text, encoding="utf-8")
        parts = ("train", "valid", "test", "last_epoch_test")
        result = {
            "fold": fold,
            **({"draw": draw} if draw > 1 else {}),
            "epochs": 3,
            "best_epoch": 2,
            "seconds": 10.0 * fold,
            "weights_sha256": "0" * 64,
            **{f"{part}_{metric}": float(value) for part in parts},
        }
        clips = {"train": 60, "valid": 20, "test": 20}
        about = {"clips": clips, **MACHINE} if facts else None
        made = rows(fold) if rows else None
        with mock.patch.object(fold_files, "save_trained", save_weights):
            fold_files.write_fold(own, result, made, model, about)
    settings = {
        **{"dataset": dataset, "method": method, "seed": seed},
        "backbone": "hub/some-ast",
        "best_metric": {"name": metric, "mode": mode},
    }
    results = [
        json.loads(file.read_text())
        for file in sorted(folder.glob("fold*/result.json"))
    ]
    summary = build_summary(settings, results, protocol, len(results))
    write_json(folder / "summary.json", summary)
    return folder


def guesses(correct):
    """Rows of a classifier: the share of clips by fold that is correct."""

    def rows(fold):
        return [
            {
                "id": clip,
                "label": "a",
                "predicted": "a" if right else "b",
                "probability": 0.5,
            }
            for clip, right in correct[fold].items()
        ]

    return rows
