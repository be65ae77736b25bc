"""LoRA adapters of peft as folders of ours: equal logits, or refused."""

import json
import re

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForAudioClassification

from petl_modules import AudioClassifier
from petl_modules.backbones import write_tiny
from petl_modules.convert import convert, main
from petl_modules.exports import writer
from petl_modules.exports.library.fitting import sample_input
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.utils import CheckpointError, ExportError
from tests.exported import assert_near

LABELS = ["a", "b", "c"]
EVERYWHERE = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense"]
# By kind: options of peft
CASES = {
    "ast": {
        "target_modules": [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "fc1",
            "fc2",
        ],
        "modules_to_save": [
            "classifier",
            "audio_spectrogram_transformer.layernorm",
        ],
    },
    "wav2vec2": {
        "target_modules": EVERYWHERE,
        "rank_pattern": {"layers.1.attention.q_proj": 2},
        "alpha_pattern": {"1.attention.q_proj": 3},
    },
    "hubert": {"target_modules": r".*\.1\..*_proj", "use_rslora": True},
    "wavlm": {"target_modules": ["intermediate_dense", "output_dense"]},
    "w2v-bert": {"target_modules": ["linear_q", "linear_v"]},
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Folders of small encoders, by kind."""
    folder = tmp_path_factory.mktemp("bases")
    for kind in CASES:
        write_tiny(kind, folder / kind)
    return folder


def write_adapter(folder, base, kind, **options):
    """Write an adapter of random weights, and return its model."""
    width = {} if kind == "ast" else {"classifier_proj_size": 16}
    model = AutoModelForAudioClassification.from_pretrained(
        base, num_labels=len(LABELS), ignore_mismatched_sizes=True, **width
    )
    head = ["classifier"] if kind == "ast" else ["projector", "classifier"]
    options = {"modules_to_save": head, **CASES.get(kind, {}), **options}
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **options))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=draw)
    adapted.save_pretrained(folder)
    return adapted.eval()


@pytest.mark.parametrize("kind", CASES)
def test_logits_are_those_of_peft(bases, tmp_path, kind):
    model = write_adapter(tmp_path / "adapter", bases / kind, kind)
    main(
        [str(tmp_path / x) for x in ("adapter", "ours")] + ["--labels", *"abc"]
    )
    trained = TrainedModel(tmp_path / "ours")
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(trained.model(inputs), model(inputs).logits)
    classifier = AudioClassifier.from_pretrained(tmp_path / "ours")
    assert classifier.labels == LABELS


OLD_NAMES = {
    r"\.layers\.": ".encoder.layer.",
    r"attention\.(q|k|v)_proj": lambda found: (
        "attention.attention."
        + {"q": "query", "k": "key", "v": "value"}[found[1]]
    ),
    r"attention\.o_proj": "attention.output.dense",
    r"mlp\.fc1": "intermediate.dense",
    r"mlp\.fc2": "output.dense",
}


def test_names_of_transformers_4_are_known(bases, tmp_path):
    model = write_adapter(tmp_path / "adapter", bases / "ast", "ast")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    state = {}
    for name, value in load_file(file).items():
        for new, old in OLD_NAMES.items():
            name = re.sub(new, old, name)
        state[name] = value
    assert any("encoder.layer.1.attention.attention.query" in n for n in state)
    assert any("encoder.layer.0.output.dense.lora_B" in n for n in state)
    save_file(state, file)
    convert(tmp_path / "adapter", tmp_path / "ours", labels=LABELS)
    trained = TrainedModel(tmp_path / "ours")
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(trained.model(inputs), model(inputs).logits)


def test_what_was_exported_comes_back(door_runs, tmp_path):
    trained = door_runs.open("wav2vec2", "lora")
    (tmp_path / "adapter").mkdir()
    writer("peft")(trained, tmp_path / "adapter")
    convert(tmp_path / "adapter", tmp_path / "ours")
    again = TrainedModel(tmp_path / "ours", merge=False)
    assert again.labels == trained.labels
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(again.model(inputs), trained.model(inputs))


def test_the_head_of_the_base_is_used(bases, tmp_path):
    model = AutoModelForAudioClassification.from_pretrained(
        bases / "hubert",
        id2label=dict(enumerate(LABELS)),
        classifier_proj_size=16,
    )
    model.save_pretrained(tmp_path / "base")
    made = {"modules_to_save": None, "target_modules": ["q_proj"]}
    adapted = write_adapter(tmp_path / "adapter", tmp_path / "base", "", **made)
    assert not any(
        "classifier" in name
        for name in load_file(tmp_path / "adapter/adapter_model.safetensors")
    )
    base = (bases / "hubert" / "preprocessor_config.json").read_text()
    (tmp_path / "base" / "preprocessor_config.json").write_text(base)
    convert(tmp_path / "adapter", tmp_path / "ours")
    trained = TrainedModel(tmp_path / "ours")
    assert trained.labels == LABELS
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(trained.model(inputs), adapted(inputs).logits)


def change(folder, **values):
    """Change values of an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture(scope="module")
def hubert(bases, tmp_path_factory):
    """The files of an adapter, by name."""
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    write_adapter(folder, bases / "hubert", "hubert")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"peft_type": "LOHA"}, "peft_type 'LOHA'"),
        ({"use_dora": True}, "use_dora True"),
        ({"bias": "all"}, "bias 'all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights 'pissa"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"of_tomorrow": 3}, "of_tomorrow 3"),
        ({"alpha_pattern": {"(": 1}}, "is no pattern"),
        ({"base_model_name_or_path": None}, "--base_model"),
    ],
)
def test_what_no_model_of_ours_has_is_refused_by_name(
    hubert, tmp_path, values, reason
):
    for name, content in hubert.items():
        (tmp_path / name).write_bytes(content)
    change(tmp_path, **values)
    with pytest.raises(ExportError, match=reason):
        convert(tmp_path, tmp_path / "ours", labels=LABELS)


def test_too_few_labels_and_another_base_are_named(hubert, bases, tmp_path):
    for name, content in hubert.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ExportError, match="3 classes, and 0 names.*--labels"):
        convert(tmp_path, tmp_path / "ours")
    with pytest.raises(ExportError, match="LoRA is at hubert"):
        convert(tmp_path, tmp_path / "ours", bases / "wav2vec2", LABELS)


def test_damaged_files_are_named(hubert, tmp_path):
    for name, content in hubert.items():
        cut = len(content) // 2 if name.endswith(".safetensors") else None
        (tmp_path / name).write_bytes(content[:cut])
    with pytest.raises(CheckpointError, match="adapter_model.safetensors"):
        convert(tmp_path, tmp_path / "ours", labels=LABELS)
    with pytest.raises(FileExistsError):
        convert(tmp_path, tmp_path, labels=LABELS)


@pytest.mark.parametrize(
    "kind, options, reason",
    [
        ("wavlm", {"target_modules": ["q_proj"]}, "passes LoRA by"),
        ("whisper", {"target_modules": ["fc1"]}, "the silence behind a clip"),
        (
            "wav2vec2",
            {"target_modules": ["feature_projection.projection"]},
            "LoRA is at wav2vec2.feature_projection.projection",
        ),
        (
            "hubert",
            {"modules_to_save": ["feature_extractor"]},
            "has trained hubert.feature_extractor",
        ),
    ],
)
def test_other_models_are_refused(bases, tmp_path, kind, options, reason):
    base = bases / kind
    if kind == "whisper":
        base = tmp_path / "whisper"
        write_tiny("whisper", base)
    if saved := options.get("modules_to_save"):
        options = {"modules_to_save": [*saved, "projector", "classifier"]}
    write_adapter(tmp_path / "adapter", base, kind, **options)
    with pytest.raises(ExportError, match=reason):
        convert(tmp_path / "adapter", tmp_path / "ours", labels=LABELS)
