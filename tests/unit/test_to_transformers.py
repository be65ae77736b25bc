"""Checkpoints of transformers' own classes: equal to the run, or refused."""

import json

import pytest
import torch
from transformers import AutoModelForAudioClassification

from petl_modules.exports.exporting import export
from petl_modules.exports.library.fitting import sample_input
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.runs.yaml_text import parse_yaml
from petl_modules.utils import ExportError
from tests.exported import (
    KINDS,
    METHODS,
    Exported,
    assert_equal,
    assert_near,
)
from tests.trained import LABELS

# Each kind of encoder and each method once
SAMPLE = {
    "ast": "lora everywhere",
    "wav2vec2": "layer sum",
    "wav2vec2-large": "lora and biases",
    "hubert": "last layer",
    "wavlm": "bitfit",
    "unispeech": "linear",
    "unispeech-sat": "full",
    "data2vec-audio": "full",
    "w2v-bert": "lora",
}
WHOLE = [
    (kind, method)
    for kind in KINDS
    for method in METHODS
    if SAMPLE.get(kind) != method
]

# Their norm in front of the sublayers
PRE_NORM = ("wav2vec2-large", "mms", "wavlm-large", "unispeech-sat")


def nearness(method):
    """Return how near logits are; a weight norm that is folded out rounds."""
    return 2e-6 if method == "full" else 1e-6


@pytest.fixture(scope="module")
def exported(tmp_path_factory, door_runs):
    made = Exported(tmp_path_factory.mktemp("exported"))
    for kind, method in SAMPLE.items():
        made.add(kind, door_runs.open(kind, method), "transformers")
    return made


@pytest.fixture(scope="module")
def found(exported):
    return exported.run("transformers", "torch", "soundfile")


@pytest.mark.parametrize("kind", SAMPLE)
def test_the_lines_give_the_same_model_without_this_project(
    exported, found, kind
):
    near = nearness(SAMPLE[kind])
    assert_equal(found[kind], exported.wanted[kind], near)


@pytest.mark.whole
@pytest.mark.parametrize("kind, method", WHOLE)
def test_every_method_and_encoder(door_runs, tmp_path, kind, method):
    fold = door_runs.write(kind, method)
    if method == "layer sum" and kind in ("ast", *PRE_NORM):
        with pytest.raises(ExportError, match="hidden_states last"):
            export(fold, tmp_path / "out", "transformers")
        return
    export(fold, tmp_path / "out", "transformers")
    model = AutoModelForAudioClassification.from_pretrained(tmp_path / "out")
    trained = TrainedModel(fold)
    inputs = sample_input(trained)
    with torch.inference_mode():
        wanted = trained.model(inputs)
        found = model.eval()(inputs).logits
    assert_near(found, wanted, nearness(method))


def test_the_folder_is_one_of_the_librarys_own(exported):
    folder = exported.folder / "ast"
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["ASTForAudioClassification"]
    assert config["id2label"] == {str(i): x for i, x in enumerate(LABELS)}
    assert config["max_length"] == 100 and "auto_map" not in config
    card = (folder / "README.md").read_text("utf-8")
    assert "Blocks, if there were any, are merged" in card
    assert 'library_name: "transformers"' in card


@pytest.mark.parametrize("kind", ["wav2vec2-large", "w2v-bert", "hubert"])
def test_the_card_says_whether_padding_is_heard(exported, kind):
    folder = exported.folder / kind
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    shorter, longer = 2_900, 4_000
    if kind == "w2v-bert":
        shorter, longer = 10, 20
    draw = torch.Generator().manual_seed(0)
    width = [160] if kind == "w2v-bert" else []
    inputs = torch.randn(1, longer, *width, generator=draw)
    inputs[:, shorter:] = 0.0
    mask = (torch.arange(longer) < shorter).long().unsqueeze(0)
    with torch.inference_mode():
        alone = model(inputs[:, :shorter]).logits
        padded = model(inputs, attention_mask=mask).logits
    masked = (alone - padded).abs().max() < 1e-4
    card = (folder / "README.md").read_text("utf-8")
    assert masked == ("can share a batch" in card)
    assert masked != ("one sound a call" in card)


# Values with a tag, by name
PARTS = {
    "deviations": "!new:petl_modules.models.MeanStdPooling",
    "adapters": "[!new:petl_modules.methods.Insert {at: [ffn], block: "
    "!name:petl_modules.blocks.Bottleneck {reduction: 4}}]",
}


@pytest.mark.parametrize(
    "kind, method, values, reason",
    [
        ("whisper", "lora", {}, "averages the silence behind a clip"),
        (
            "ast",
            "lora",
            {"pooling": "all"},
            "--pooling cls.distillation --head",
        ),
        ("ast", "layer sum", {}, "hidden_states last"),
        ("wav2vec2-large", "layer sum", {}, "in front of the final norm"),
        ("wav2vec2", "lora", {"backbone_dtype": "bfloat16"}, "float32"),
        (
            "data2vec-audio",
            "linear",
            {"pool": "deviations"},
            "the mean of all frames",
        ),
        ("hubert", "linear", {"methods": "adapters"}, "Bottleneck is no part"),
        ("wav2vec2", "attentive", {}, "the mean of all frames"),
        ("ast", "convpass", {}, "ConvPass is no part"),
        ("wav2vec2", "ladder", {}, "has no Ladder: --hidden_states last"),
    ],
)
def test_other_models_are_refused_with_the_reason(
    door_runs, tmp_path, kind, method, values, reason
):
    tagged = {
        key: parse_yaml(PARTS.get(value, str(value)), key)
        for key, value in values.items()
    }
    fold = door_runs.write(kind, method, **tagged)
    with pytest.raises(ExportError, match=reason) as caught:
        export(fold, tmp_path / "out", "transformers")
    assert "--format petl, onnx, pt2 and speechbrain" in str(caught.value)
    assert not (tmp_path / "out").exists()
