"""Norm outputs made again: stock autograd's gradients, for fewer bytes."""

import pytest
import torch
from test_methods import CASES, Kind
from test_recomputation import kept_bytes, step
from torch import nn

from petl_modules import tuned_model
from petl_modules.renorm import remember, renormed


@pytest.fixture(params=["ast", "group", "layer"])
def kind(request, tiny_ast, tiny_wav2vec2):
    folders = {"ast": tiny_ast, **tiny_wav2vec2}
    return Kind(request.param, folders[request.param])


@pytest.fixture
def both(monkeypatch):
    """Gives a model as it is, and one that keeps all as autograd does."""

    def build(make):
        torch.manual_seed(0)
        models = [make()]
        with monkeypatch.context() as patch:
            patch.setattr(tuned_model, "kept_norms", lambda *_: [])
            torch.manual_seed(0)
            models.append(make())
        for model in models:
            torch.manual_seed(2)
            for path in model.train().inserted.values():
                for parameter in model.get_submodule(path).parameters():
                    nn.init.normal_(parameter, std=0.05)
        return models

    return build


def assert_same(ours, stock):
    torch.testing.assert_close(ours, stock, rtol=0, atol=0)


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


# With how many blocks' inputs a layer
@pytest.mark.parametrize(
    "file,blocks",
    [("bottleneck", 1), ("houlsby", 2), ("lora", 1), ("dense_moa", 1)],
)
def test_a_block_keeps_no_input(file, blocks, tiny_ast, both):
    kind = Kind("ast", tiny_ast)
    inputs = kind.inputs()
    ours, stock = (
        kept_bytes(model, inputs)
        for model in both(lambda: kind.from_yaml(file))
    )
    layers = 2 if file != "lora" else 1  # without a norm that is trained
    tokens = 2 + 8 * 31
    assert stock - ours == layers * blocks * len(inputs) * tokens * 128 * 4


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
    with renormed(x):
        loss = view(x).exp().mul(view(x)).sum()
    found = torch.autograd.grad(loss, [source, *norm.parameters()])
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    loss = (view(out).exp() * view(out)).sum()
    assert_same(found, torch.autograd.grad(loss, [source, *norm.parameters()]))


def test_what_was_written_to_is_kept_as_it_is(x):
    x, source, norm = x
    x.mul_(3)
    with renormed(x):
        loss = x.square().sum()
    (found,) = torch.autograd.grad(loss, source)
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    (expected,) = torch.autograd.grad((3 * out).square().sum(), source)
    assert_same(found, expected)


@pytest.mark.parametrize("what", ["source", "weight"])
def test_a_norm_must_not_change_before_the_backward_pass(what, x):
    norm = x[2]
    source = torch.randn(2, 5, 8)  # so that the norm's weight is not kept
    x = norm(source)
    with renormed(x):
        loss = x.square().sum()
    with torch.no_grad():
        {"source": source, "weight": norm.weight}[what].add_(1)
    with pytest.raises(RuntimeError, match="LayerNorm.* were written to"):
        loss.backward()


def test_gradients_of_gradients(x):
    x, source, norm = x
    with renormed(x):
        loss = (x**3).sum()
    out = nn.functional.layer_norm(source, (8,), norm.weight, norm.bias)
    seconds = []
    for value in (loss, (out**3).sum()):
        (first,) = torch.autograd.grad(value, source, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), source)[0])
    assert_same(*seconds)


def test_nothing_is_remembered_without_a_graph(x):
    _, source, norm = x
    with torch.no_grad():
        assert not hasattr(norm(source), "made_by")
