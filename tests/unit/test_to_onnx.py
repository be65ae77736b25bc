"""Models written as ONNX files and as torch's exported programs."""

import json
import sys

import numpy as np
import onnx
import pytest
import soundfile
import torch

from petl_modules.data import (
    FilterBank,
    StackedFilterBank,
    Waveform,
    WhisperLogMel,
    Windows,
    window_features,
)
from petl_modules.exports import writer
from petl_modules.exports.graphs.graph import INPUTS, Graph, write_example
from petl_modules.exports.graphs.numpy_features import KINDS, features_of
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.utils import ExportError
from tests.doors import run_alone
from tests.sampling import sample
from tests.trained import LABELS, ROOT, write_run
from tools.copy_methods import SPEECH_METHODS

BASES = {"ast": "ast", "w2v-bert": "w2v_bert", "whisper": "whisper"}
SPEECH = (
    *("group", "layer", "wavlm", "wavlm-large", "hubert", "unispeech"),
    *("unispeech-sat", "data2vec-audio", "mms", "w2v-bert", "whisper"),
)
FORMATS = ("onnx", "pt2")
# Exported and run as an example: each kind of features, and both formats
EXAMPLES = {
    "soft_moa": ("onnx", "ast"),
    "lora": ("onnx", "wavlm"),
    "el_adapters": ("onnx", "w2v-bert"),
    "prefix": ("onnx", "whisper"),
    "prompt_shallow": ("pt2", "ast"),
}
# With those, each kind of block, head and encoder. What is left out has the
# modules of another: HuBERT those of wav2vec 2.0, BitFit those of the probe
SAMPLE = {
    "adapter_bias": ("pt2", "whisper"),
    "attentive_layers": ("pt2", "whisper"),
    "bottleneck": ("pt2", "data2vec-audio"),
    "conformer": ("pt2", "ast"),
    "convpass": ("pt2", "ast"),
    "dense_moa": ("pt2", "whisper"),
    "gc_lora": ("pt2", "whisper"),
    "ipet": ("pt2", "ast"),
    "ladder": ("pt2", "whisper"),
    "linear": ("pt2", "ast"),
    "mambadapter": ("pt2", "whisper"),
}


def of_ast(method):
    """Whether a method's file is for AST."""
    return method not in SPEECH_METHODS and not method.endswith("_wav2vec2")


def of_speech(method):
    """Whether a method's file is for encoders of speech."""
    return method not in ("convpass", "ipet", "ipet_adapter", "ipet_prompt")


def table():
    """Every format, encoder and method; a covering sample is not ``whole``."""
    folder = ROOT / "templates" / "audio_classification" / "hparams"
    methods = sorted(file.stem for file in folder.glob("*.yaml"))
    methods = [m for m in methods if m not in {*BASES.values(), "wav2vec2"}]
    cases = []
    for method in methods:
        encoders = ["ast"] if of_ast(method) else []
        encoders += SPEECH if of_speech(method) else []
        for case in [(f, e) for f in FORMATS for e in encoders]:
            sampled = case == SAMPLE.get(method)
            marks = () if sampled else pytest.mark.whole
            name = f"{case[0]}-{case[1]}-{method}"
            cases.append(pytest.param(*case, method, marks=marks, id=name))
    return cases


@pytest.fixture(scope="session")
def backbones(tiny_ast, tiny_wav2vec2, tiny_encoders):
    """Folders of small encoders by name."""
    others = {name: tiny.folder for name, tiny in tiny_encoders.items()}
    return {"ast": tiny_ast, **tiny_wav2vec2, **others}


@pytest.fixture
def make(tmp_path, backbones):
    """Opens the fold of a method on an encoder."""

    def open_run(method, encoder, **values):
        base = f"{BASES.get(encoder, 'wav2vec2')}.yaml"
        folder = write_run(
            tmp_path / "run", method, backbones[encoder], base, **values
        )
        return TrainedModel(folder, merge=False)

    return open_run


def write(trained, format, folder):
    """Write a format into a new folder, and return it."""
    folder.mkdir()
    writer(format)(trained, folder)
    return folder


def noise(samples, seed=0):
    """Return noise with a tone in it."""
    draw = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * 0.2)
    return (0.1 * draw.standard_normal(samples) + 0.2 * tone).astype("float32")


@pytest.mark.parametrize(("format", "encoder", "method"), table())
def test_every_method(format, encoder, method, make, tmp_path):
    """``write`` compares outputs, at two batch sizes and two lengths."""
    write(make(method, encoder), format, tmp_path / "out")
    assert (tmp_path / "out" / f"model.{format}").is_file()


# A folder in use

CLASSIFY = """
import json, runpy, sys
import numpy as np
from classify import Classifier, read

classify = Classifier()
logits = classify.logits(read("clip.wav", classify.facts["sample_rate"]))
print(json.dumps([logits.tolist(), classify("clip.wav", top=2)]))
sys.argv = ["classify.py", "clip.wav"]
runpy.run_path("classify.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    "method", sample([*EXAMPLES], ["lora", "prompt_shallow"])
)
def test_example(method, make, tmp_path, capfd):
    format, encoder = EXAMPLES[method]
    trained = make(method, encoder)
    samples = np.stack([noise(19_000), noise(19_000, seed=1)], 1)
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, samples, 16_000, "FLOAT")
    inputs = trained.features_of(trained.read(clip))
    with torch.no_grad():  # LoRA is merged on export
        (right,) = trained.windows.average(trained.model, inputs)
    out = write(trained, format, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    clip.rename(out / "clip.wav")
    library = {"onnx": "onnxruntime", "pt2": "torch"}[format]
    ran = run_alone(CLASSIFY, library, "numpy", "soundfile", cwd=out)
    assert ran.returncode == 0, ran.stderr
    answer, shown = ran.stdout.splitlines()
    logits, best = json.loads(answer)
    torch.testing.assert_close(torch.tensor(logits), right, atol=1e-4, rtol=0)
    chances = right.softmax(0)
    assert [label for label, _ in best] == [
        LABELS[i] for i in chances.topk(2).indices
    ]
    assert best[0][1] == pytest.approx(float(chances.max()), abs=1e-4)
    assert shown.startswith(f"clip.wav: {best[0][0]} {best[0][1]:.3f}, ")
    assert shown.count(",") == len(LABELS) - 1
    if format == "onnx":
        check_file(trained, out / "model.onnx")


def check_file(trained, file):
    """Check an ONNX file: its names, and what it says of itself."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    name, varying = INPUTS[type(trained.features).__name__]
    (read,) = model.graph.input
    shape = [size.dim_param for size in read.type.tensor_type.shape.dim]
    assert read.name == name
    assert [size for size in shape if size] == [*varying.values()]
    assert [out.name for out in model.graph.output] == ["logits", "embeddings"]
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["labels"]) == LABELS
    assert said["sampling_rate"] == "16000"
    assert said["weights_sha256"] == trained.weights_sha256


# Features in NumPy


def facts_of(features, windows=None):
    """Return what ``preprocessor.json`` has."""
    return {
        "kind": type(features).__name__,
        **vars(features),
        "windows": windows,
    }


@pytest.mark.parametrize("samples", [200, 5_000, 16_001, 40_000])
@pytest.mark.parametrize(
    "features",
    [
        FilterBank(100),
        FilterBank(60, mel_bins=64, sample_rate=8_000, normalize=False),
        StackedFilterBank(1.0),
        StackedFilterBank(None, mel_bins=40, normalize=False),
        Waveform(1.0),
        Waveform(None, normalize=False),
        WhisperLogMel(1.0),
        WhisperLogMel(None, mel_bins=128, normalize=True),
    ],
    ids=lambda features: type(features).__name__,
)
def test_features_in_numpy(features, samples):
    clip = noise(samples)
    (found,) = features_of(clip, facts_of(features))
    assert found.dtype == np.float32
    right = features(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(found, right, atol=5e-4)


def test_kinds_of_features():
    assert KINDS.keys() == INPUTS.keys()


@pytest.mark.parametrize("samples", [5_000, 8_000, 40_000])
def test_windows_in_numpy(samples):
    features, clip = FilterBank(50), noise(samples)
    found = features_of(clip, facts_of(features, windows=3))
    windows = Windows(test=3)
    right = window_features(windows, features, torch.from_numpy(clip))
    np.testing.assert_allclose(found, right, atol=5e-4)


# What else a run may be


def test_several_windows(make, tmp_path):
    trained = make("linear", "ast", test_windows=3)
    write_example(trained, tmp_path, "classify_onnx")
    facts = json.loads((tmp_path / "preprocessor.json").read_text("utf-8"))
    assert facts["windows"] == 3


def test_recomputation(make, tmp_path):
    """What saves memory in training is not part of the graph."""
    trained = make("bottleneck", "ast", recompute="layer")
    write(trained, "pt2", tmp_path / "out")


def test_bfloat16(make, tmp_path):
    trained = make("linear", "ast", backbone_dtype="bfloat16")
    writer("petl")(trained, tmp_path)
    for one in (trained, TrainedModel(tmp_path, merge=False)):
        with pytest.raises(ExportError, match="Backbone_dtype is bfloat16"):
            Graph(one, "onnx")


def test_an_ensemble(tmp_path, tiny_ast):
    for fold in (1, 2):
        write_run(tmp_path, "linear", tiny_ast, fold=fold)
    with pytest.raises(ExportError, match="outputs of several folds"):
        Graph(TrainedModel(tmp_path, fold="all"), "onnx")


def test_another_task(tmp_path, tiny_ast):
    fold = write_run(
        tmp_path / "run", "linear", tiny_ast, template="speaker_verification"
    )
    trained = TrainedModel(fold, merge=False)
    with pytest.raises(ExportError, match="run of speaker verification") as no:
        writer("pt2")(trained, tmp_path)
    assert str(no.value).endswith("take --format petl")


def test_features_of_ones_own(make):
    class Loud(FilterBank):
        pass

    trained = make("linear", "ast")
    trained.features = Loud(100)
    with pytest.raises(ExportError, match="Nothing outside .* makes Loud"):
        Graph(trained, "onnx")


def test_another_result(make):
    graph = Graph(make("linear", "ast"), "onnx")
    for wrong in (0.001, float("nan")):
        with pytest.raises(ExportError, match="differs by .* in embeddings"):
            graph.check(lambda x: (graph(x)[0], graph(x)[1] + wrong), 1e-5)


def test_an_absent_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "petl_modules.exports.to_onnx", False)
    with pytest.raises(ExportError, match="onnx needs onnxruntime: install"):
        writer("onnx")
