"""Adapters of peft: equal to the run by peft's own loaders, or refused."""

import json
import sys

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForAudioClassification

from petl_modules.exports import writer
from petl_modules.exports.exporting import export
from petl_modules.exports.library.fitting import sample_input
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.runs.yaml_text import parse_yaml
from petl_modules.utils import ExportError
from tests.exported import KINDS, Exported, assert_equal, assert_near
from tests.trained import LABELS

METHODS = ("linear", "lora", "lora everywhere", "lora and biases", "bitfit")
# Each method, and each kind of encoder but those that are wav2vec 2.0 by
# another name
SAMPLE = {
    "ast": "lora and biases",
    "wav2vec2": "lora",
    "wav2vec2-large": "lora and biases",
    "hubert": "bitfit",
    "wavlm": "linear",
    "data2vec-audio": "lora everywhere",
    "w2v-bert": "lora",
}
WHOLE = [
    (kind, method)
    for kind in KINDS
    for method in METHODS
    if SAMPLE.get(kind) != method
]
PUBLISHED = {"ast": {"frames": 1024}}  # the base's own positions


@pytest.fixture(scope="module")
def exported(tmp_path_factory, door_runs):
    made = Exported(tmp_path_factory.mktemp("exported"))
    for kind, method in SAMPLE.items():
        trained = door_runs.open(kind, method, **PUBLISHED.get(kind, {}))
        made.add(kind, trained, "peft")
    return made


@pytest.fixture(scope="module")
def found(exported):
    return exported.run("peft", "transformers", "torch", "soundfile")


@pytest.mark.parametrize("kind", SAMPLE)
def test_the_lines_give_the_same_model_without_this_project(
    exported, found, kind
):
    assert_equal(found[kind], exported.wanted[kind])


def load(folder, kind, backbone):
    """Return the adapter on its base, not merged."""
    width = {} if kind == "ast" else {"classifier_proj_size": 128}
    base = AutoModelForAudioClassification.from_pretrained(
        backbone, num_labels=4, ignore_mismatched_sizes=True, **width
    )
    return PeftModel.from_pretrained(base, folder).eval()


@pytest.mark.whole
@pytest.mark.parametrize("kind, method", WHOLE)
def test_every_method_and_encoder(door_runs, tmp_path, kind, method):
    fold = door_runs.write(kind, method, **PUBLISHED.get(kind, {}))
    if "lora" in method and kind.startswith("wavlm"):
        with pytest.raises(ExportError, match="passes LoRA by"):
            export(fold, tmp_path / "out", "peft")
        return
    export(fold, tmp_path / "out", "peft")
    model = load(tmp_path / "out", kind, door_runs.backbones[kind])
    trained = TrainedModel(fold, merge=False)
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(model(inputs).logits, trained.model(inputs))


def test_the_files_have_the_names_of_peft(exported):
    folder = exported.folder / "wav2vec2"
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "preprocessor_config.json",
    ]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["bias"] == "none"
    assert (config["r"], config["lora_alpha"]) == (6, 0.75)
    assert sorted(config["target_modules"]) == [
        "attention.q_proj",
        "attention.v_proj",
    ]
    said = json.loads((folder / "preprocessor_config.json").read_text())
    assert said["labels"] == LABELS


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_the_card_says_whether_the_other_loader_takes_it(exported, kind):
    folder = exported.folder / kind
    card = (folder / "README.md").read_text("utf-8")

    def load():
        return AutoModelForAudioClassification.from_pretrained(
            folder,
            num_labels=4,
            classifier_proj_size=128,
            ignore_mismatched_sizes=True,
        ).eval()

    if "takes no other" in card:
        with pytest.raises(ValueError, match="Cannot load_adapter"):
            load()
        return
    assert "loads base and adapter" in card
    inputs = torch.load(exported.folder / f"{kind}.pt")
    wanted = torch.tensor(exported.wanted[kind]["logits"])
    with torch.inference_mode():
        assert_near(load()(inputs).logits, wanted)


TWICE = """[
  !new:petl_modules.methods.LoRA {at: [query], rank: 2, alpha: 1.0},
  !new:petl_modules.methods.LoRA {at: [query, value], rank: 3, alpha: 1.0}]"""
OF_TWO_RANKS = TWICE.replace("[query, value]", "[value]")


def test_ranks_and_alphas_differ_by_site(door_runs, tmp_path):
    methods = parse_yaml(OF_TWO_RANKS, "methods")
    fold = door_runs.write("hubert", "linear", methods=methods)
    export(fold, tmp_path / "out", "peft")
    text = (tmp_path / "out" / "adapter_config.json").read_text()
    assert {*json.loads(text)["rank_pattern"].values()} == {3}
    model = load(tmp_path / "out", "hubert", door_runs.backbones["hubert"])
    trained = TrainedModel(fold)
    inputs = sample_input(trained)
    with torch.inference_mode():
        assert_near(model(inputs).logits, trained.model(inputs))


@pytest.mark.parametrize(
    "kind, method, values, reason",
    [
        ("hubert", "last layer", {}, "matrices of the encoder"),
        ("hubert", "full", {}, "matrices of the encoder"),
        ("hubert", "layer sum", {}, "no place for .* what reads all layers"),
        ("hubert", "linear", {"methods": TWICE}, "one LoRA at a site"),
        ("wavlm", "lora", {}, "passes LoRA by"),
        ("ast", "lora", {}, "with --frames 1024 has the base's own"),
        ("ast", "lora", {"frames": 1024, "positions": "zeros"}, "no positions"),
    ],
)
def test_what_peft_cannot_carry_is_refused(
    door_runs, tmp_path, kind, method, values, reason
):
    if "methods" in values:
        values = {"methods": parse_yaml(values["methods"], "methods")}
    fold = door_runs.write(kind, method, **values)
    with pytest.raises(ExportError, match=reason) as caught:
        export(fold, tmp_path / "out", "peft")
    assert "--format transformers carries it" in str(caught.value)


def test_without_peft_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.delitem(sys.modules, "petl_modules.exports.to_peft")
    with pytest.raises(ExportError, match=r"pip install '\.\[export\]'"):
        writer("peft")
