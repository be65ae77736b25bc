"""Trained folds for each door of transformers, and what their cards' lines do."""

import json
import re
import shlex

import soundfile
import torch

from petl_modules.exports import writer
from petl_modules.exports.library.fitting import AST_KEYS, sample_input
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.runs.arguments import read_value
from tests.doors import run_alone
from tests.trained import write_run

EVERYWHERE = ["query", "key", "value", "output", "ffn_in", "ffn_out"]
# By name: a recipe file, and other keys of it
METHODS = {
    "linear": ("linear", {}),
    "lora": ("lora", {}),
    "lora everywhere": ("lora", {"at": EVERYWHERE, "layers": "last_1"}),
    "lora and biases": (
        "lora",
        {"train_backbone": "biases", "train_norms": "layers"},
    ),
    "bitfit": ("bitfit", {}),
    "last layer": ("linear", {"train_backbone": "last_1"}),
    "full": ("full_finetuning", {}),
    "layer sum": ("linear", {"hidden_states": "weighted"}),
}
KINDS = (
    *("ast", "wav2vec2", "wav2vec2-large", "mms", "hubert", "wavlm"),
    *("wavlm-large", "unispeech", "unispeech-sat", "data2vec-audio"),
    "w2v-bert",
)
# The head and the pooling that AST's class of transformers has
AST_VALUES = {
    key.removeprefix("--"): read_value(key, [value], default)
    for (key, value), default in zip(
        zip(*[iter(shlex.split(AST_KEYS))] * 2), ("all", {})
    )
}
# Runs the lines of each card, and what they have made, in one fresh process
ALONE = """
import contextlib, io, json, torch
found = {}
for name in NAMES:
    scope = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(open(f"{name}.txt").read(), scope)
    classify, rate = scope["classify"], scope["rate"]
    sound = {"array": scope["samples"], "sampling_rate": rate}
    with torch.no_grad():
        logits = classify.model(torch.load(f"{name}.pt")).logits
    found[name] = {
        "printed": printed.getvalue(),
        "logits": logits.tolist(),
        "scores": {x["label"]: x["score"] for x in classify(sound, top_k=9)},
    }
json.dump(found, open("found.json", "w"))
"""


class Runs:
    """Writes folds of small runs, and opens them once.

    Arguments
    ---------
    folder : pathlib.Path
        Where to.
    tiny_ast, tiny_wav2vec2, tiny_encoders
        See ``conftest.py``.
    """

    def __init__(self, folder, tiny_ast, tiny_wav2vec2, tiny_encoders):
        self.folder = folder
        self.backbones = {
            "ast": tiny_ast,
            "wav2vec2": tiny_wav2vec2["group"],
            "wav2vec2-large": tiny_wav2vec2["layer"],
            **{name: e.folder for name, e in tiny_encoders.items()},
        }
        self.count = 0
        self.opened = {}

    def open(self, kind, method, **values):
        """Return the model of such a fold, LoRA unmerged; see ``write``."""
        key = kind, method, repr(values)
        if key not in self.opened:
            fold = self.write(kind, method, **values)
            self.opened[key] = TrainedModel(fold, merge=False)
        return self.opened[key]

    def write(self, kind, method, **values):
        """Return the fold of a run that fits transformers.

        Arguments
        ---------
        kind : str
            One of ``KINDS``.
        method : str
            A key of ``METHODS``, or the stem of a recipe file, for which AST
            has the head of that file.
        **values
            Other keys of the recipe file.
        """
        file, own = METHODS.get(method, (method, {}))
        if file in ("convpass", "ipet") and kind != "ast":
            file = f"{file}_wav2vec2"
        bases = {"ast": "ast.yaml", "w2v-bert": "w2v_bert.yaml"}
        bases["whisper"] = "whisper.yaml"
        fits = kind == "ast" and method in METHODS
        head = AST_VALUES if fits else {}
        self.count += 1
        return write_run(
            self.folder / f"run{self.count}",
            file,
            self.backbones[kind],
            bases.get(kind, "wav2vec2.yaml"),
            **{**head, **own, **values},
        )


def lines_of(folder):
    """Return the Python lines of an exported folder's card."""
    card = (folder / "README.md").read_text("utf-8")
    return "\n".join(re.findall("```python\n(.*?)```", card, re.S))


def write_sound(path, seconds=0.4, rate=16_000):
    """Write a sound in one channel, shorter than what small runs read."""
    draw = torch.Generator().manual_seed(3)
    noise = 0.1 * torch.randn(round(seconds * rate), generator=draw)
    soundfile.write(path, noise.numpy(), rate, subtype="FLOAT")


class Exported:
    """Exported folders, and what the lines of their cards give.

    Arguments
    ---------
    folder : pathlib.Path
        Where to.
    """

    def __init__(self, folder):
        self.folder = folder
        self.wanted = {}
        write_sound(folder / "dog.wav")

    def add(self, name, trained, format):
        """Export a model, and compute what the folder has to give."""
        (self.folder / name).mkdir()
        writer(format)(trained, self.folder / name)
        inputs = sample_input(trained)
        torch.save(inputs, self.folder / f"{name}.pt")
        lines = lines_of(self.folder / name)
        (self.folder / f"{name}.txt").write_text(lines, encoding="utf-8")
        clip = trained.read(self.folder / "dog.wav")
        with torch.inference_mode():
            logits = trained.model(inputs)
            scores = trained.model(trained.features_of(clip))[0].softmax(-1)
        labels = dict(zip(trained.labels, scores.tolist()))
        self.wanted[name] = {"logits": logits.tolist(), "scores": labels}

    def run(self, *packages):
        """Return what the cards' lines give where these packages are alone."""
        code = f"NAMES = {[*self.wanted]!r}\n{ALONE}"
        done = run_alone(code, *packages, cwd=self.folder)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((self.folder / "found.json").read_text())


def assert_equal(found, wanted, near=1e-6):
    """Check that logits are equal to 1e-6, and scores of a file to 1e-4."""
    assert_near(*(torch.tensor(x["logits"]) for x in (found, wanted)), near)
    assert found["scores"].keys() == wanted["scores"].keys()
    for label, score in wanted["scores"].items():
        assert abs(found["scores"][label] - score) < 1e-4
        assert label in found["printed"]


def assert_near(found, wanted, near=1e-6):
    """Check that logits differ by little of the largest, or of 1."""
    largest = max(1.0, wanted.abs().max().item())
    assert (found - wanted).abs().max().item() < near * largest
