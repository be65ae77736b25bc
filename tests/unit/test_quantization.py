"""Frozen linear layers in 4 bits, against the formula."""

import copy
import sys

import pytest
import torch
from scipy.stats import norm
from test_methods import Kind
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from petl_modules.models.quantization import count_weights, quantize_linear
from petl_modules.training import frozen_digests, require_unchanged
from petl_modules.utils import HparamsError, UserError

pytest.importorskip("bitsandbytes")
D_IN, D_OUT = 128, 96


def nearest(weight):
    """Round as in QLoRA, section 3: normal quantiles, a scale for each 64."""
    offset = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))  # its appendix on NF4
    above = norm.ppf(torch.linspace(offset, 0.5, 9, dtype=torch.float64)[:-1])
    below = norm.ppf(torch.linspace(offset, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.tensor(sorted([*above, 0.0, *-below]))
    levels = (levels / levels.max()).float()
    blocks = weight.reshape(-1, 64)
    scale = blocks.abs().amax(1, keepdim=True)
    place = ((blocks / scale).unsqueeze(2) - levels).abs().argmin(2)
    return (levels[place] * scale).view_as(weight)


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D_IN, D_OUT)).requires_grad_(False)


def test_layer_is_that_of_the_rounded_weight():
    plain, quantized = linear(), linear()
    quantize_linear(quantized)
    plain[0].weight.data = nearest(plain[0].weight)
    found = torch.randn(2, 5, D_IN, requires_grad=True)
    given = found.detach().clone().requires_grad_()
    outs = quantized(found), plain(given)
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)
    for out in outs:
        out.square().sum().backward()
    torch.testing.assert_close(found.grad, given.grad, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(quantized.eval()(found), outs[0])


def test_the_packed_weight_alone_is_saved():
    model = linear()
    quantize_linear(model)
    kept = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = model(torch.randn(2, 5, D_IN, requires_grad=True))
    assert out.requires_grad
    sizes = {tensor.dtype: tensor.numel() for tensor in kept}
    packed, scales = D_IN * D_OUT // 2, D_IN * D_OUT // 64
    assert sizes == {torch.uint8: packed, torch.float32: scales}
    assert model[0].weight.numel() == packed


def test_autocast_rounds_as_in_a_plain_layer():
    plain, quantized = linear(), linear()
    quantize_linear(quantized)
    plain[0].weight.data = nearest(plain[0].weight)
    found = torch.randn(2, 5, D_IN, requires_grad=True)
    given = found.detach().clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        outs = quantized(found), plain(given)
    assert outs[0].dtype == torch.bfloat16
    torch.testing.assert_close(*outs)
    for out in outs:
        out.float().square().sum().backward()
    assert found.grad.dtype == torch.float32
    torch.testing.assert_close(found.grad, given.grad, rtol=2e-2, atol=2e-2)


def test_compiled_it_is_one_graph():
    model = linear()
    quantize_linear(model)
    found = torch.randn(2, 5, D_IN, requires_grad=True)
    given = found.detach().clone().requires_grad_()
    run = torch.compile(model, backend="aot_eager", fullgraph=True)
    outs = run(found), model(given)
    for out in outs:
        out.square().sum().backward()
    assert torch.equal(*outs)
    assert torch.equal(found.grad, given.grad)


@pytest.mark.parametrize("width", [3, 4])
def test_an_odd_number_of_weights_is_counted(width):
    model = nn.Sequential(nn.Linear(3, width)).requires_grad_(False)
    quantize_linear(model)
    assert count_weights(model) == 4 * width


def test_counts_and_what_trains_are_those_of_float32(tiny_ast):
    kind = Kind("ast", tiny_ast)
    plain = kind.from_yaml("bitfit")
    model = kind.from_yaml("bitfit", backbone_dtype="nf4")
    assert model.count_parameters() == plain.count_parameters()

    def trained(model):
        return {
            name: (p.shape, p.dtype)
            for name, p in model.named_parameters()
            if p.requires_grad
        }

    assert trained(model) == trained(plain)
    model.train()(kind.inputs()).square().sum().backward()
    assert all(
        p.grad is not None for p in model.parameters() if p.requires_grad
    )


@pytest.mark.parametrize("recompute", ["feed_forward", "layer"])
def test_recomputed_it_has_the_same_gradients(recompute, tiny_ast):
    kind = Kind("ast", tiny_ast)
    found = []
    for choice in ("none", recompute):
        torch.manual_seed(0)
        model = kind.from_yaml("lora", backbone_dtype="nf4", recompute=choice)
        torch.manual_seed(1)
        for path in model.encoder.inserted.values():
            for value in model.encoder.get_submodule(path).parameters():
                nn.init.normal_(value, std=0.05)
        model.eval()(kind.inputs()).square().sum().backward()
        found.append([p.grad for p in model.parameters() if p.requires_grad])
    assert all(torch.equal(*pair) for pair in zip(*found))


def test_the_guard_of_frozen_weights_reads_them(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("lora", backbone_dtype="nf4")
    digests = frozen_digests(model)
    require_unchanged(digests, copy.deepcopy(model))
    model.encoder.backbone.model.layers[0].mlp.fc1.weight.data[0] ^= 1
    with pytest.raises(RuntimeError, match="fc1.weight"):
        require_unchanged(digests, model)


@pytest.mark.parametrize("method", ["dora", "hira"])
def test_what_reads_weights_is_refused(method, tiny_ast):
    with pytest.raises(
        HparamsError, match="weight of a linear layer, here of .*q_proj"
    ):
        Kind("ast", tiny_ast).from_yaml(method, backbone_dtype="nf4")


def test_an_encoder_without_frozen_layers_is_refused(tiny_ast):
    with pytest.raises(HparamsError, match="none is frozen"):
        Kind("ast", tiny_ast).from_yaml("full_finetuning", backbone_dtype="nf4")


def test_the_package_is_named(tiny_ast, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="requirements-quantization.txt"):
        Kind("ast", tiny_ast).from_yaml("lora", backbone_dtype="nf4")
