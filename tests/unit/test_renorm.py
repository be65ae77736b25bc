"""Recomputed norm outputs: stock autograd's gradients, for fewer bytes."""

import gc

import pytest
import torch
from test_methods import CASES, Kind
from test_recomputation import kept_bytes, left_allocated, step
from torch import nn

from petl_modules.models import assembly
from petl_modules.models.norm_recompute import NormRecomputed, remember


@pytest.fixture
def both(monkeypatch):
    """Gives a model as it is, and one that keeps all as autograd does."""

    def build(make):
        torch.manual_seed(0)
        models = [make()]
        with monkeypatch.context() as patch:
            patch.setattr(assembly, "norms_to_recompute", lambda *_: [])
            torch.manual_seed(0)
            models.append(make())
        for model in models:
            torch.manual_seed(2)
            for path in model.train().encoder.inserted.values():
                for parameter in model.encoder.get_submodule(path).parameters():
                    nn.init.normal_(parameter, std=0.05)
        return models

    return build


def renormed(x, run):
    """The result of a block that does not save its input."""
    block = nn.Module()
    block.forward = lambda x, mask=None: run(x)
    return NormRecomputed(block)(x)


def assert_same(ours, stock):
    torch.testing.assert_close(ours, stock, rtol=0, atol=0)


@pytest.mark.covering("case", "kind")
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_same_bit_for_bit(case, kind, both):
    lengths = torch.tensor([0.6, 1.0]) if kind.speech else None
    ours, stock = both(lambda: kind.build(case))
    inputs = kind.inputs()
    assert_same(step(ours, inputs, lengths), step(stock, inputs, lengths))


@pytest.mark.parametrize("file", ["houlsby", "lora", "soft_moa"])
def test_in_bf16_as_well(file, tiny_ast, both):
    kind = Kind("ast", tiny_ast)
    models = both(lambda: kind.from_yaml(file, backbone_dtype="bfloat16"))
    assert_same(*(step(model, kind.inputs()) for model in models))


# Changes of a recipe file, and how many inputs of blocks are not kept in the
# two layers. LoRA's norms are frozen, and so the first one has no graph
@pytest.mark.parametrize(
    "name,file,changes,blocks",
    [
        ("ast", "bottleneck", {}, 2),
        ("ast", "bottleneck", {"placement": "before"}, 2),
        ("ast", "bottleneck", {"placement": "sequential"}, 0),
        ("ast", "houlsby", {}, 4),
        ("ast", "lora", {}, 1),
        ("ast", "dense_moa", {}, 2),
        ("ast", "bottleneck", {"recompute": "feed_forward"}, 0),
        ("ast", "houlsby", {"recompute": "feed_forward"}, 2),
        ("ast", "houlsby", {"recompute": "layer"}, 0),
        ("ast", "houlsby", {"train_backbone": "last_1"}, 2),
        ("ast", "houlsby", {"train_backbone": "all"}, 0),
        ("layer", "houlsby", {}, 3),
        ("group", "houlsby", {}, 3),  # nothing in front of the first attention
        ("group", "houlsby", {"recompute": "feed_forward"}, 1),
    ],
)
def test_a_block_keeps_no_input(
    name, file, changes, blocks, tiny_ast, tiny_wav2vec2, both
):
    kind = Kind(name, {"ast": tiny_ast, **tiny_wav2vec2}[name])
    inputs = kind.inputs()
    ours, stock = (
        kept_bytes(model, inputs)
        for model in both(lambda: kind.from_yaml(file, **changes))
    )
    tokens = model_tokens(kind)
    assert stock - ours == blocks * len(inputs) * tokens * 128 * 4


def model_tokens(kind):
    """What the backbone makes of the inputs."""
    with torch.no_grad():
        return kind.backbone()(kind.inputs()).shape[1]


def test_an_output_is_made_again_once_for_all(tiny_ast, both, monkeypatch):
    """For query and value, and without the norm's hooks."""
    ours, _ = both(lambda: Kind("ast", tiny_ast).from_yaml("lora"))
    norm = ours.encoder.backbone.sites.module("layers.1.attention_norm")
    hooked, called, forward = [], [], norm.forward
    norm.register_forward_hook(lambda *_: hooked.append(1))
    monkeypatch.setattr(
        norm, "forward", lambda x: called.append(1) or forward(x)
    )
    ours(torch.randn(2, 500, 128)).sum().backward()
    assert (len(hooked), len(called)) == (1, 2)


def test_a_forward_without_a_backward_leaves_nothing(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("dense_moa").train()
    inputs = torch.randn(2, 500, 128)
    model(inputs)
    gc.collect()
    left, _ = left_allocated(lambda: model(inputs).shape)
    assert left == 0


@pytest.fixture
def x():
    """A norm's output, and the source of it."""
    torch.manual_seed(0)
    norm = nn.LayerNorm(8)
    nn.init.normal_(norm.weight)
    norm.register_forward_hook(remember)
    source = torch.randn(2, 5, 8, requires_grad=True)
    return norm(source), source, norm


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, 1:],
        lambda x: x.flatten(0, 1).t(),
        lambda x: x[..., ::2],
        lambda x: x.unsqueeze(1).expand(-1, 3, -1, -1),
    ],
)
def test_views_are_made_again(view, x):
    x, source, norm = x
    loss = renormed(x, lambda x: view(x).exp().mul(view(x)).sum())
    found = torch.autograd.grad(loss, [source, *norm.parameters()])
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    loss = (view(out).exp() * view(out)).sum()
    assert_same(found, torch.autograd.grad(loss, [source, *norm.parameters()]))


@pytest.mark.parametrize("within", [False, True])
def test_what_was_written_to_is_kept_as_it_is(within, x):
    x, source, norm = x
    if not within:
        x.mul_(3)
    loss = renormed(x, lambda x: (x.mul_(3) if within else x).square().sum())
    (found,) = torch.autograd.grad(loss, source)
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    (expected,) = torch.autograd.grad((3 * out).square().sum(), source)
    assert_same(found, expected)


@pytest.mark.parametrize("what", ["source", "weight"])
def test_a_norm_must_not_change_before_the_backward_pass(what, x):
    norm = x[2]
    source = torch.randn(2, 5, 8)  # so that the norm's weight is not kept
    x = norm(source)
    loss = renormed(x, lambda x: x.square().sum())
    with torch.no_grad():
        {"source": source, "weight": norm.weight}[what].add_(1)
    with pytest.raises(RuntimeError, match="LayerNorm.* was changed"):
        loss.backward()


def test_a_block_must_not_change_before_the_backward_pass(x):
    block = nn.Linear(8, 8)
    loss = renormed(x[0], lambda x: block(x.exp()).sum())
    with torch.no_grad():
        block.weight.add_(1)
    with pytest.raises(RuntimeError, match="a block was changed"):
        loss.backward()


def test_under_autocast(x):
    """The backward pass is outside, where the norm's output would be bf16."""
    norm, gradients = x[2], []
    for call in (renormed, lambda x, run: run(x)):
        source = x[1].detach().bfloat16().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = call(norm(source), lambda x: x.square().sum())
        gradients.append(torch.autograd.grad(loss, source))
    assert_same(*gradients)


def test_under_function_transforms(x):
    norm = x[2]

    def loss(source):
        return renormed(norm(source), lambda x: x.square().sum())

    source = x[1].detach()
    found = torch.func.vmap(torch.func.grad(loss))(source)
    leaf = source.clone().requires_grad_()
    out = nn.functional.layer_norm(leaf, (8,), norm.weight, norm.bias)
    torch.testing.assert_close(
        found, torch.autograd.grad(out.square().sum(), leaf)[0]
    )


def test_on_the_meta_device():
    norm = nn.LayerNorm(8, device="meta")
    norm.register_forward_hook(remember)
    out = norm(torch.empty(2, 5, 8, device="meta"))
    assert renormed(out, lambda x: x.square().sum()).is_meta


def test_gradients_of_gradients(x):
    x, source, norm = x
    loss = renormed(x, lambda x: (x**3).sum())
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    seconds = []
    for value in (loss, (out**3).sum()):
        (first,) = torch.autograd.grad(value, source, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), source)[0])
    assert_same(*seconds)


def test_nothing_is_remembered_without_a_graph(x):
    _, source, norm = x
    with torch.no_grad():
        assert not hasattr(norm(source), "origin")
