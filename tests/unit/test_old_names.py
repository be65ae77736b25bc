"""Runs of earlier versions: their recipe files and their checkpoints."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_methods import LABELS, Kind

import petl_modules
from petl_modules.models import (
    load_trained,
    read_trained,
    trained_state,
    upgrade_recipe,
)
from petl_modules.models.old_names import TAGS, TENSORS, tensor_name
from petl_modules.predict import Classifier
from petl_modules.runs.run_folder import claim_folder
from petl_modules.utils import CheckpointError, HparamsError, versions

# Every tag of the recipe files of format 1, and of README. What is left out of
# the table belongs to the training, which is not resumed
OLD_TAGS = """
adapters.Bottleneck adapters.Conformer adapters.ConvPass backbones.AST
backbones.Wav2Vec2 checkpointer.SafeCheckpointer data.collate
features.FilterBank features.SpecAugment features.Waveform insertion.Insert
lora.LoRA moa.DenseMoA moa.SoftMoA order.EpochBatches prompts.PrefixTuning
prompts.PromptTuning splits.AsListed splits.Folds splits.Lists splits.Sessions
splits.plan tally.part_accuracy tally.unweighted_accuracy
tuned_model.TunedModel
""".split()
TRAINING = {"checkpointer", "data", "order", "splits", "tally"}
# A name of each kind of tensor of format 1, with its name of today
OLD_TENSORS = {
    "lora": ("query.a.weight", "query.lora_a.weight"),
    "bottleneck": ("ffn.down.weight", "ffn.down_proj.weight"),
    "soft_moa": ("attention.experts.down", "attention.experts.down_proj"),
    "dense_moa": (
        "attention.experts.down_bias",
        "attention.experts.down_proj_bias",
    ),
    "prefix": ("attention.key", "attention.key"),
}


# What methods have got since
SINCE = ("layers", "reads", "replace_distillation", "init")


def old_name(name):
    """Return the name of format 1 of a tensor."""
    if name.startswith(("backbone.", "head.")):
        return name
    for old, new in TENSORS.items():
        if name.endswith(f".{new}"):
            return name.removesuffix(new) + old
    return name


def save_old(model, path):
    """Write a model as format 1 did."""
    settings = model.settings()
    encoder = dict(settings["encoder"])
    encoder["pooling"] = encoder.pop("tokens")
    del encoder["hidden_states"]
    for method in encoder["methods"]:
        for key in SINCE:
            method.pop(key, None)
    labels = settings["must_match"]["labels"]
    about = {
        "format": 1,
        "settings": {**encoder, "labels": labels},
        "versions": versions(),
    }
    state = {old_name(k): v for k, v in trained_state(model).items()}
    save_file(state, path, {"petl": json.dumps(about)})
    return state


OLD_RECIPE = """
labels: &labels [cat, dog, cow]
prepare:
  data_folder: nowhere
plan: !name:petl_modules.splits.plan
  split: !new:petl_modules.splits.Lists
methods: &methods
- !new:petl_modules.lora.LoRA
  at: [query, value]
  rank: 2
  alpha: 1.0
- !new:petl_modules.insertion.Insert
  at: [ffn]
  block: !name:petl_modules.moa.SoftMoA
    experts: 3
    expert: !name:petl_modules.adapters.Bottleneck
      reduction: 32
- !new:petl_modules.prompts.PrefixTuning
  tokens: 4
features: !new:petl_modules.features.FilterBank
  frames: 100
tuned_model: &model !new:petl_modules.tuned_model.TunedModel

  backbone: !new:petl_modules.backbones.AST
    source: BACKBONE
    frames: 100
    positions: center_cut
  labels: *labels
  methods: *methods
  pooling: speech
  train_backbone: biases
  train_norms: true
  recompute: none
  backbone_dtype: float32
modules:
  model: *model
checkpointer: !new:petl_modules.checkpointer.SafeCheckpointer
  checkpoints_dir: nowhere
"""


@pytest.mark.parametrize("tag", OLD_TAGS)
def test_every_tag_of_a_model_has_a_name_of_today(tag):
    room, name = TAGS.get(tag, tag).split(".")
    if room in TRAINING and tag not in TAGS or tag == "features.SpecAugment":
        return
    if tag == "tuned_model.TunedModel":
        return  # three objects, see ``PARTS``
    module = __import__(f"petl_modules.{room}", fromlist=["__all__"])
    assert name in module.__all__


def test_the_table_has_no_other_tags():
    assert TAGS.keys() <= set(OLD_TAGS)


@pytest.mark.parametrize("case", OLD_TENSORS)
def test_names_of_tensors(case, tiny_ast):
    old, new = (f"0.layers.1.{name}" for name in OLD_TENSORS[case])
    assert tensor_name(old) == new
    assert new in trained_state(Kind("ast", tiny_ast).from_yaml(case))


# The methods that there were
FORMAT_1 = (
    "ast bitfit bottleneck conformer dense_moa full_finetuning houlsby linear "
    "lora prefix prompt_deep prompt_shallow soft_moa"
).split()


@pytest.mark.covering("case", "kind")
@pytest.mark.parametrize("case", FORMAT_1)
def test_checkpoint_of_format_1_loads(case, kind, tmp_path):
    model = kind.from_yaml(case)
    for value in trained_state(model).values():
        if value.is_floating_point():
            torch.nn.init.normal_(value, std=0.1)
    save_old(model, tmp_path / "model")
    other = kind.from_yaml(case)
    load_trained(other, tmp_path / "model")
    for name, value in trained_state(model).items():
        assert torch.equal(trained_state(other)[name], value)
    assert read_trained(tmp_path / "model")[1]["format"] == 2


def test_checkpoint_of_format_1_has_to_fit_as_well(tiny_ast, tmp_path):
    kind = Kind("ast", tiny_ast)
    save_old(kind.from_yaml("lora"), tmp_path / "model")
    for changes, words in (
        ({"rank": 3}, r"methods\[0\].rank: 6 in the file, 3"),
        ({"pooling": "cls"}, "tokens: 'all' in the file, 'cls'"),
        ({"hidden_states": "weighted"}, "layer_weights: absent in the file"),
        ({"labels": LABELS[:9]}, "head.out_features: 50 in the file, 9"),
    ):
        with pytest.raises(CheckpointError, match=words):
            load_trained(kind.from_yaml("lora", **changes), tmp_path / "model")


@pytest.fixture
def old_run(tiny_ast, tmp_path):
    """The folder of a run as format 1 left it, and its model."""
    fold = tmp_path / "fold1"
    fold.mkdir()
    text = OLD_RECIPE.replace("BACKBONE", tiny_ast)
    (fold / "hyperparams.yaml").write_text(text, encoding="utf-8")
    made = petl_modules.runs.RecipeFile.parse(upgrade_recipe(text), "text")
    model = made.make(["model"])["model"].eval()
    for value in trained_state(model).values():
        torch.nn.init.normal_(value, std=0.1)
    state = save_old(model, fold / "model.safetensors")
    assert "0.layers.0.query.a.weight" in state
    return tmp_path, model


def test_predict_reads_an_old_run(old_run):
    folder, model = old_run
    classifier = Classifier(folder / "fold1")
    assert classifier.labels == ["cat", "dog", "cow"]
    assert classifier.trained.model.encoder.tokens == "speech"
    inputs = torch.randn(2, 100, 128)
    with torch.no_grad():
        torch.testing.assert_close(
            classifier.trained.model(inputs),
            model(inputs),
            rtol=1e-4,
            atol=1e-5,
        )


def test_predict_finds_the_backbone_of_an_old_run(old_run, tiny_ast):
    folder, model = old_run
    file = folder / "fold1" / "hyperparams.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(tiny_ast, "/moved"), encoding="utf-8")
    moved = Classifier(folder / "fold1", backbone=tiny_ast)
    assert moved.trained.model.settings() == model.settings()


def test_training_in_an_old_run_is_refused(old_run):
    folder, _ = old_run
    (folder / "fold1" / "result.json").write_text("{}", encoding="utf-8")
    file = folder / "hyperparams.yaml"
    file.write_text(OLD_RECIPE, encoding="utf-8")
    words = "earlier version .* name another --output_folder"
    with pytest.raises(HparamsError, match=words):
        claim_folder(file, "seed: 1\n")


def test_files_of_today_stay_as_they_are():
    file = (
        Path(petl_modules.__file__).parents[1] / "recipes/GSC/hparams/ast.yaml"
    )
    text = file.read_text(encoding="utf-8")
    assert upgrade_recipe(text) == text
    assert not re.search("|".join(map(re.escape, TAGS)), text)
