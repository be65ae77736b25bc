"""Checkpoints: what they hold, where they fit, and what is refused."""

import json
import subprocess
import sys
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from petl_modules.backbones import AST, write_tiny_ast
from petl_modules.blocks import Bottleneck, Conformer
from petl_modules.methods import Insert, LoRA, PrefixTuning, PromptTuning
from petl_modules.models import (
    load_trained,
    save_trained,
    trained_state,
    weights_sha256,
)
from petl_modules.utils import CheckpointError
from tests.models import classifier

METHODS = {
    "linear": lambda: [],
    "conformer": lambda: [
        Insert(at=["attention", "ffn"], block=partial(Conformer, reduction=16))
    ],
    "composed": lambda: [
        Insert(at=["ffn"], block=Bottleneck),
        LoRA(rank=2),
        PrefixTuning(tokens=4),
        PromptTuning(tokens=3, deep=True),
    ],
}


def build(folder, method="conformer", seed=0, frames=100, **settings):
    torch.manual_seed(seed)
    settings = {"labels": ["cat", "dog"], **settings}
    return classifier(
        AST(folder, frames), methods=METHODS[method](), **settings
    )


def train(model):
    """A few steps, so that statistics and weights are all their own."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(torch.randn(4, 100, 128)).square().sum().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("train_backbone", ["none", "biases", "all"])
def test_loads_into_another_model(method, train_backbone, tiny_ast, tmp_path):
    model = train(build(tiny_ast, method, train_backbone=train_backbone))
    save_trained(model, tmp_path / "model")
    other = build(
        tiny_ast, method, seed=1, train_backbone=train_backbone
    ).eval()
    x = torch.randn(2, 100, 128)
    assert not torch.equal(other(x), model(x))
    load_trained(other, tmp_path / "model")
    assert torch.equal(other(x), model(x))
    assert weights_sha256(other) == weights_sha256(model)


FRESH = """
import sys, torch
sys.path.insert(0, sys.argv[4])
from test_checkpoint import build, load_trained
model = build(sys.argv[1], seed=5).eval()
load_trained(model, sys.argv[2])
x = torch.load(sys.argv[3], weights_only=True)
torch.save(model(x).detach(), sys.argv[3])
"""


def test_a_fresh_process_gives_the_same_bits(tiny_ast, tmp_path, request):
    model = train(build(tiny_ast))
    save_trained(model, tmp_path / "model")
    x = torch.randn(4, 100, 128)
    torch.save(x, tmp_path / "x")
    words = [tiny_ast, tmp_path / "model", tmp_path / "x", request.path.parent]
    subprocess.run([sys.executable, "-c", FRESH, *words], check=True)
    assert torch.equal(torch.load(tmp_path / "x"), model(x))


def test_keys_are_sites_and_hold_what_is_trained_alone(tiny_ast, tmp_path):
    model = build(tiny_ast)
    save_trained(model, tmp_path / "model")
    with safe_open(tmp_path / "model", "pt") as file:
        names = set(file.keys())
        about = json.loads(file.metadata()["petl"])
    trained = sum(p.requires_grad for p in model.parameters())
    buffers = sum(name.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked") for name in names)  # fmt: skip
    assert len(names) == trained + buffers and buffers == 12
    assert {n.split(".")[0] for n in names} == {"0", "head", "backbone"}
    assert "0.layers.1.ffn.depthwise.weight" in names
    assert "backbone.layers.0.attention_norm.bias" in names
    assert "backbone.final_norm.weight" in names
    settings = about["settings"]
    assert settings["must_match"] == {"labels": ["cat", "dog"]}
    assert settings["pooling"] == {"class": "MeanPooling"}
    assert settings["head"] == {"class": "Linear", "out_features": 2}
    assert settings["encoder"]["backbone"]["positions"] == "center_cut"
    assert settings["encoder"]["methods"][0]["block"]["reduction"] == 16
    assert about["format"] == 2
    assert torch.__version__.startswith(about["versions"]["torch"])


@pytest.fixture
def saved(tiny_ast, tmp_path):
    save_trained(build(tiny_ast), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "linear"}, r"methods: \[\{'class': 'Insert'"),
        ({"labels": ["cat", "cow"]}, r"labels\[1\]: 'dog' in the file, 'cow'"),
        ({"labels": ["cat", "dog", "cow"]}, r"head.bias: \(2,\) in the file"),
        ({"frames": 116}, "backbone.frames: 100 in the file, 116"),
        ({"pooling": "cls"}, "encoder.tokens: 'all' in the file, 'cls'"),
        ({"train_norms": False}, "final_norm.bias: .* in the file, absent"),
    ],
)
def test_what_does_not_fit_is_listed(changes, words, saved, tiny_ast):
    model = build(tiny_ast, **changes)
    before = {k: v.clone() for k, v in trained_state(model).items()}
    with pytest.raises(CheckpointError, match=words):
        load_trained(model, saved)
    after = trained_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_other_names_with_the_same_settings_name_the_version(saved, tiny_ast):
    with safe_open(saved, "pt") as file:
        state = {f"0.old.{name}": file.get_tensor(name) for name in file.keys()}
        about = file.metadata()
    save_file(state, saved, about)
    with pytest.raises(CheckpointError, match="another version of this proj"):
        load_trained(build(tiny_ast), saved)


def test_another_backbone_of_the_same_size_does_not_fit(saved, tmp_path):
    write_tiny_ast(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="backbone.weights"):
        load_trained(build(str(tmp_path / "other")), saved)


@pytest.mark.parametrize("length", [0, 7, 100, 1000, -1])
def test_a_truncated_file_is_an_error(length, saved, tiny_ast):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_trained(build(tiny_ast), saved)


def test_a_file_of_other_weights_is_an_error(tiny_ast):
    with pytest.raises(CheckpointError, match="no checkpoint of a tuned model"):
        load_trained(build(tiny_ast), f"{tiny_ast}/model.safetensors")


def test_a_missing_file_is_an_error(tiny_ast, tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_trained(build(tiny_ast), tmp_path / "nothing")
