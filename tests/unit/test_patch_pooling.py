"""Averages of neighbouring patches in front of the layers of an AST."""

import copy
import pickle
from functools import partial

import pytest
import torch
from transformers import ASTModel

from petl_modules.backbones import AST
from petl_modules.blocks import ConvPass
from petl_modules.exports import writer
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.methods import Insert, LoRA, PromptTuning
from petl_modules.models import load_trained, save_trained
from petl_modules.utils import CheckpointError, HparamsError
from tests.models import classifier

FRAMES = 124
LABELS = ["cat", "dog", "bird"]


def clips(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, FRAMES, 128, generator=generator)


def by_hand(tokens, rows, columns, size):
    """CLS and distillation token, then the mean of each group in a row."""
    found = [tokens[:, 0], tokens[:, 1]]
    for row in range(rows):
        first = 2 + row * columns
        for start in range(0, columns, size):
            group = range(start, min(start + size, columns))
            found.append(sum(tokens[:, first + i] for i in group) / len(group))
    return torch.stack(found, 1)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_equals_hugging_face_on_tokens_pooled_by_hand(size, tiny_ast):
    plain = AST(tiny_ast, FRAMES).eval()
    rows, columns = plain.sites.grid
    assert columns % size  # the last group of a row is smaller
    stock = ASTModel.from_pretrained(tiny_ast, attn_implementation="sdpa")
    pooled = AST(tiny_ast, FRAMES, pool_patches=size).eval()
    with torch.no_grad():
        tokens = plain.model.embeddings(clips())
        hidden = by_hand(tokens, rows, columns, size)
        for layer in stock.eval().layers:
            hidden = layer(hidden)
        expected = stock.layernorm(hidden)
        torch.testing.assert_close(pooled(clips()), expected)
    assert pooled.sites.grid == (rows, -(-columns // size))


def test_1_changes_nothing(tiny_ast):
    plain, same = AST(tiny_ast, FRAMES), AST(tiny_ast, FRAMES, pool_patches=1)
    assert same.settings == plain.settings  # runs of before fit
    assert torch.equal(same.eval()(clips()), plain.eval()(clips()))


@pytest.mark.parametrize("size", [0, 99, 1.5])
def test_what_is_no_number_of_patches_is_refused(size, tiny_ast):
    with pytest.raises(HparamsError, match=f"pool_patches is {size}: of "):
        AST(tiny_ast, FRAMES, pool_patches=size)


def test_another_pooling_is_another_encoder(tiny_ast, tmp_path):
    model = classifier(AST(tiny_ast, FRAMES, pool_patches=2), LABELS, [])
    save_trained(model, tmp_path / "model.safetensors")
    other = classifier(AST(tiny_ast, FRAMES), LABELS, [])
    with pytest.raises(CheckpointError, match="pool_patches"):
        load_trained(other, tmp_path / "model.safetensors")


def test_blocks_prompts_and_the_grid_fit(tiny_ast):
    methods = [
        Insert(at=["ffn"], block=partial(ConvPass, reduction=16, over="grid")),
        LoRA(at=["query"], rank=2, alpha=2),
        PromptTuning(tokens=3, deep=True),
    ]
    model = classifier(
        AST(tiny_ast, FRAMES, pool_patches=2), LABELS, methods
    ).train()
    model(clips()).square().sum().backward()
    rows, columns = model.encoder.backbone.sites.grid
    hidden, _ = model.encoder(clips())
    assert hidden.shape[1] == 1 + 3 + rows * columns
    missing = [
        n
        for n, p in model.named_parameters()
        if p.requires_grad and p.grad is None
    ]
    assert missing == []


@pytest.mark.parametrize("duplicate", [copy.deepcopy, "pickle"])
def test_copies_pool_too(duplicate, tiny_ast):
    backbone = AST(tiny_ast, FRAMES, pool_patches=2).eval()
    if duplicate == "pickle":
        twin = pickle.loads(pickle.dumps(backbone))
    else:
        twin = duplicate(backbone)
    assert torch.equal(twin(clips()), backbone(clips()))


def test_compiles_without_a_graph_break(tiny_ast):
    model = classifier(AST(tiny_ast, FRAMES, pool_patches=2), LABELS, [])
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(clips()), model(clips()))


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_exports_pool_too(format, door_runs, tmp_path):
    """The writer compares outputs, at two batch sizes."""
    trained = TrainedModel(door_runs.write("ast", "lora", pool_patches=2))
    writer(format)(trained, tmp_path)
    assert (tmp_path / f"model.{format}").is_file()
