"""Recomputation gives the same gradients, statistics and draws, for less."""

import copy
import pickle

import pytest
import torch
from test_methods import CASES, FRAMES, LABELS, Kind
from torch import nn

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import ConvPass
from petl_modules.methods import Adapted, Insert
from petl_modules.models import TunedEncoder
from petl_modules.models.activation_checkpointing import (
    NotRecomputed,
    Recomputed,
)
from tests.models import classifier


def build(kind, case, recompute, monkeypatch):
    """A model in training mode, its inserted weights drawn."""
    insert = TunedEncoder._insert
    with monkeypatch.context() as patch:
        patch.setattr(
            TunedEncoder, "_insert", lambda self, _: insert(self, recompute)
        )
        model = kind.build(case).train()
    torch.manual_seed(2)
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.05)
    return model


def step(model, inputs, lengths=None):
    """Loss, gradients by name, buffers by name, of one step."""
    torch.manual_seed(3)  # dropout
    model.zero_grad()
    loss = model(inputs, lengths).square().sum()
    if loss.requires_grad:
        loss.backward()
    inserted = {
        f"{key}.{name}": parameter.grad
        for key, path in model.encoder.inserted.items()
        for name, parameter in model.encoder.get_submodule(
            path
        ).named_parameters()
    }
    weights = {
        name: model.encoder.get_parameter(path).grad
        for name, path in model.encoder.trained_weights.items()
    }
    buffers = {
        f"{key}.{name}": buffer.clone()
        for key, path in model.encoder.inserted.items()
        for name, buffer in model.encoder.get_submodule(path).named_buffers()
    }
    return loss.detach(), {**inserted, **weights}, buffers


@pytest.mark.covering("case", "kind")
@pytest.mark.parametrize("case", CASES)
def test_gradients_and_statistics_are_the_same(case, kind, monkeypatch):
    inputs = kind.inputs()
    lengths = torch.tensor([0.6, 1.0]) if kind.speech else None
    expected = step(build(kind, case, "none", monkeypatch), inputs, lengths)
    for choice in ("feed_forward", "layer"):
        model = build(kind, case, choice, monkeypatch)
        assert any(isinstance(m, Recomputed) for m in model.modules())
        found = step(model, inputs, lengths)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def left_allocated(run):
    """Bytes that a call allocates and does not give back, with its result."""
    with torch.autograd.profiler.profile(
        use_kineto=False, profile_memory=True
    ) as profile:
        result = run()
    left = sum(e.self_cpu_memory_usage for e in profile.function_events)
    return left, result


def kept_bytes(model, inputs):
    """What a forward allocates and keeps for the backward."""
    model(inputs)  # what is made but once
    left, loss = left_allocated(lambda: model(inputs).sum())
    assert loss.requires_grad
    return left


@pytest.mark.parametrize("case", ["bottleneck", "conformer"])
def test_less_is_kept(case, tiny_ast):
    kind = Kind("ast", tiny_ast)
    kept = {
        choice: kept_bytes(
            kind.from_yaml(case, recompute=choice).train(), kind.inputs()
        )
        for choice in ("none", "feed_forward", "layer")
    }
    assert kept["feed_forward"] < 0.7 * kept["none"]
    assert kept["layer"] < 0.3 * kept["none"]


def test_the_last_product_is_not_computed_again(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("bottleneck", recompute="layer")
    calls = []
    last = [m for m in model.modules() if isinstance(m, NotRecomputed)]
    assert len(last) == model.encoder.backbone.sites.n_layers
    for module in last:
        module.base.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(2, FRAMES, 128)).sum().backward()
    assert len(calls) == len(last)


def test_trained_last_products_are_not_kept(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml(
        "full_finetuning", recompute="layer"
    )
    assert not any(isinstance(m, NotRecomputed) for m in model.modules())


def test_another_forward_may_come_in_between(tiny_wav2vec2):
    """The mask of the first one holds for its second pass."""
    gradients = []
    for recompute in ("none", "layer"):
        torch.manual_seed(0)
        model = classifier(
            Wav2Vec2(tiny_wav2vec2["layer"]),
            LABELS,
            [Insert(at=["ffn"], block=ConvPass)],
            train_norms=False,
            pooling="speech",
            recompute=recompute,
        ).eval()
        for path in model.encoder.inserted.values():
            nn.init.normal_(
                model.encoder.get_submodule(path).up_proj.weight, std=0.1
            )
        waveforms = torch.randn(2, 5_000)
        loss = model(waveforms, torch.tensor([0.4, 1.0])).square().sum()
        model(waveforms)  # nothing is padded
        loss.backward()
        gradients.append(
            [p.grad for p in model.parameters() if p.requires_grad]
        )
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_evaluation_keeps_nothing_to_recompute(tiny_ast, monkeypatch):
    model = Kind("ast", tiny_ast).from_yaml("soft_moa", recompute="layer")
    monkeypatch.setattr(
        "petl_modules.models.activation_checkpointing.checkpoint", None
    )
    with torch.no_grad():
        model(torch.randn(1, FRAMES, 128))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, "pickle"])
def test_copies_are_independent(duplicate, tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("conformer", recompute="layer")
    if duplicate == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    else:
        twin = duplicate(model)
    inputs = torch.randn(2, FRAMES, 128)
    before = model.eval()(inputs)
    for module in twin.modules():
        if isinstance(module, Adapted):
            nn.init.normal_(module.block.pointwise_out.weight)
    assert torch.equal(model(inputs), before)
    assert not torch.equal(twin.eval()(inputs), before)


@pytest.mark.parametrize("choice", ["feed_forward", "layer"])
@pytest.mark.parametrize("case", ["conformer", "soft_moa"])
def test_compiles_without_a_graph_break(case, choice, tiny_ast):
    kind = Kind("ast", tiny_ast)
    model = kind.from_yaml(case, recompute=choice).train()
    inputs = kind.inputs()
    trained = [p for p in model.parameters() if p.requires_grad]
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(inputs).square().sum(), trained)
    expected = torch.autograd.grad(model(inputs).square().sum(), trained)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if case == "conformer":
        counts = [
            int(buffer)
            for name, buffer in model.named_buffers()
            if name.endswith("num_batches_tracked")
        ]
        assert counts and set(counts) == {2}


@pytest.mark.parametrize("name", ["ast", "group", "layer"])
def test_bf16_autocast(name, tiny_ast, tiny_wav2vec2):
    kind = Kind(name, {"ast": tiny_ast, **tiny_wav2vec2}[name])
    inputs, gradients = kind.inputs(), []
    for choice in ("none", "feed_forward", "layer"):
        torch.manual_seed(0)
        model = kind.from_yaml("bottleneck", recompute=choice).eval()
        for path in model.encoder.inserted.values():
            nn.init.ones_(model.encoder.get_submodule(path).up_proj.weight)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(inputs).square().sum()
        loss.backward()
        gradients.append(
            {
                key: model.encoder.get_submodule(path).down_proj.weight.grad
                for key, path in model.encoder.inserted.items()
            }
        )
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-2, atol=1e-2)


def test_no_such_choice(tiny_ast):
    with pytest.raises(ValueError, match="recompute 'all' is none of: none"):
        classifier(AST(tiny_ast, FRAMES), LABELS, recompute="all")
