"""Classify audio files: ``python classify.py dog.wav rain.wav``."""

import json
import sys
import warnings
from pathlib import Path

import torch

from petl_modules.exports.graphs.numpy_features import features_of, read


class Classifier:
    """The model in a folder; that of this file, by default."""

    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        self.labels, self.facts = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in ("labels.json", "preprocessor.json")
        )
        with warnings.catch_warnings():  # it reads weights, and writes none
            warnings.filterwarnings("ignore", "The given buffer is not writ")
            program = torch.export.load(folder / "model.pt2")
        # The guards are on strides, and refuse a batch of one
        self.model = program.module(check_guards=False)

    @torch.no_grad()
    def logits(self, samples):
        """Return a clip's logits, the mean over the windows of it."""
        inputs = torch.from_numpy(features_of(samples, self.facts))
        logits, _ = self.model(inputs)
        return logits.mean(0)

    def __call__(self, path, top=5):
        """Return labels and their probabilities, the most probable first."""
        logits = self.logits(read(path, self.facts["sample_rate"]))
        best = logits.softmax(0).topk(min(top, len(self.labels)))
        labels = [self.labels[i] for i in best.indices]
        return list(zip(labels, best.values.tolist()))


if __name__ == "__main__":
    classify = Classifier()
    for path in sys.argv[1:]:
        found = [f"{label} {share:.3f}" for label, share in classify(path)]
        print(f"{path}: {', '.join(found)}")
