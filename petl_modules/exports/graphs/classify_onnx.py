"""Classify audio files: ``python classify.py dog.wav rain.wav``."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from petl_modules.exports.graphs.numpy_features import features_of, read


class Classifier:
    """The model in a folder; that of this file, by default."""

    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        self.labels, self.facts = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in ("labels.json", "preprocessor.json")
        )
        self.session = onnxruntime.InferenceSession(folder / "model.onnx")
        self.input = self.session.get_inputs()[0].name

    def logits(self, samples):
        """Return a clip's logits, the mean over the windows of it."""
        inputs = features_of(samples, self.facts)
        return self.session.run(["logits"], {self.input: inputs})[0].mean(0)

    def __call__(self, path, top=5):
        """Return labels and their probabilities, the most probable first."""
        logits = self.logits(read(path, self.facts["sample_rate"]))
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = np.argsort(-shares)[:top]
        return [(self.labels[i], float(shares[i])) for i in best]


if __name__ == "__main__":
    classify = Classifier()
    for path in sys.argv[1:]:
        found = [f"{label} {share:.3f}" for label, share in classify(path)]
        print(f"{path}: {', '.join(found)}")
