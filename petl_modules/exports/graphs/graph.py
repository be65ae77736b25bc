"""What the graph formats share: a classifier that can be traced, and checks."""

import json
import shutil
from pathlib import Path

import torch
from torch import nn

from petl_modules.exports.library.fitting import require_classifier
from petl_modules.methods import merge_methods
from petl_modules.utils import ExportError

# Features that the exported example can make, the name of the input, and its
# dimensions that vary
INPUTS = {
    "FilterBank": ("input_values", {0: "batch"}),
    "Waveform": ("input_values", {0: "batch", 1: "samples"}),
    "StackedFilterBank": ("input_features", {0: "batch", 1: "frames"}),
    "WhisperLogMel": ("input_features", {0: "batch", 1: "frames"}),
}
OUTPUTS = ("logits", "embeddings")
USE = """\
```bash
pip install {library} soundfile soxr
python classify.py dog.wav
```

```python
from classify import Classifier

classify = Classifier()
classify("dog.wav")  # labels and their probabilities
```"""


class Graph(nn.Module):
    """A classifier of clips of one length: logits, and what the head reads.

    LoRA is merged into the weights.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model; its weights are changed.
    format : str
        For error messages.

    Attributes
    ----------
    input : str
        The name of the input.
    varying : dict
        Names of the input's dimensions that vary.

    Raises
    ------
    ExportError
        If the model is no single classifier, its features are no published
        ones, or its weights are not stored in float32.
    """

    def __init__(self, trained, format):
        super().__init__()
        require_classifier(trained)
        kind = type(trained.features).__name__
        reason = None
        if kind not in INPUTS:
            reason = f"nothing outside this project makes {kind} features"
        elif (dtype := trained.model.encoder.backbone_dtype) != "float32":
            reason = f"backbone_dtype is {dtype}: train with float32"
        if reason:
            raise ExportError(
                f"{trained.folder}: --format {format} cannot carry it. "
                f"{reason[0].upper()}{reason[1:]}. --format petl can"
            )
        merge_methods(trained.model)
        self.model = trained.model
        self.features = trained.features
        self.input, self.varying = INPUTS[kind]

    def forward(self, inputs):
        """Return logits ``[batch, labels]`` and embeddings ``[batch, width]``.

        Arguments
        ---------
        inputs : torch.Tensor
            Features ``[batch, ...]``, nothing of them padded.
        """
        embeddings = self.model.embed(inputs)
        return self.model.head(embeddings), embeddings

    def inputs(self, clips, share):
        """Return features of noise.

        Arguments
        ---------
        clips : int
            How many.
        share : float
            Their length, in that of the longest clip, or of a second.

        Returns
        -------
        torch.Tensor
        """
        samples = self.features.longest or self.features.sample_rate
        draw = torch.Generator().manual_seed(clips)
        noise = torch.randn(clips, round(share * samples), generator=draw)
        return torch.stack([self.features(0.1 * clip) for clip in noise])

    @torch.no_grad()
    def check(self, run, tolerance):
        """Compare what was written with this model.

        Arguments
        ---------
        run : callable
            Returns logits and embeddings as arrays, for features.
        tolerance : float
            Of the largest difference, for values up to 1; of larger ones, in
            their largest.

        Raises
        ------
        ExportError
            If it computes something else.
        """
        for clips, share in ((1, 1.0), (3, 0.4)):
            inputs = self.inputs(clips, share)
            for name, found, right in zip(OUTPUTS, run(inputs), self(inputs)):
                error = float((torch.as_tensor(found) - right).abs().max())
                if not error <= tolerance * max(1.0, float(right.abs().max())):
                    raise ExportError(
                        f"what was written differs by {error:.1e} in {name} "
                        f"for {tuple(inputs.shape)}: please report the recipe "
                        "file and the versions of torch and onnxruntime"
                    )


def write_example(trained, folder, example):
    """Write labels, what makes the input, and a program that classifies.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.
    folder : pathlib.Path
        The folder to write to.
    example : str
        The program: the stem of a file beside this one.
    """
    windows = trained.windows
    several = windows.moving and windows.test != "whole"
    facts = {
        "kind": type(trained.features).__name__,
        **vars(trained.features),
        "windows": windows.test if several else None,
    }
    here = Path(__file__).parent
    text = (here / f"{example}.py").read_text(encoding="utf-8")
    text = text.replace(f"{__package__}.numpy_features", "numpy_features")
    (folder / "classify.py").write_text(text, encoding="utf-8")
    shutil.copyfile(here / "numpy_features.py", folder / "numpy_features.py")
    for name, data in (("labels", trained.labels), ("preprocessor", facts)):
        text = json.dumps(data, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
