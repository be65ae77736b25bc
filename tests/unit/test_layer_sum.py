"""The sum of layers, of some layers, and of L-adapters."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from test_methods import Kind
from torch import nn

from petl_modules.blocks import LayerAdapter
from petl_modules.methods import PromptTuning
from petl_modules.models import (
    LayerSum,
    MeanStdPooling,
    TunedEncoder,
    TunedModel,
    trained_state,
)
from petl_modules.utils import HparamsError


@pytest.fixture(params=["group", "layer"])
def backbone(request, tiny_wav2vec2):
    return Kind(request.param, tiny_wav2vec2[request.param]).backbone()


@pytest.fixture
def waveforms():
    torch.manual_seed(1)
    return torch.randn(2, 5_000)


def made(backbone, **options):
    torch.manual_seed(0)
    factory = partial(LayerSum, **options)
    return TunedEncoder(backbone, hidden_states=factory, train_norms=False)


def test_the_sum_of_a_single_layer_is_that_layer(backbone, waveforms):
    encoder = made(backbone).eval()
    with torch.no_grad():
        states, _ = encoder(waveforms, all_layers=True)
        for place, state in enumerate(states):
            encoder.layer_sum.weights.zero_()
            encoder.layer_sum.weights[place] = 200.0  # softmax: exactly 1
            assert torch.equal(encoder(waveforms)[0], state)


def test_weights_of_0_give_the_mean(backbone, waveforms):
    encoder = made(backbone).eval()
    with torch.no_grad():
        states, _ = encoder(waveforms, all_layers=True)
        expected = torch.stack(states).mean(0)
        torch.testing.assert_close(encoder(waveforms)[0], expected)


@pytest.mark.parametrize(
    ("layers", "first_input", "places"),
    [
        ("all", True, [0, 1, 2]),
        ("all", False, [1, 2]),
        ("last_1", False, [2]),
        ("all_but_last", False, [1]),
        ([0], True, [0, 1]),
    ],
)
def test_some_layers(layers, first_input, places, backbone, waveforms):
    assert backbone.sites.n_layers == 2
    encoder = made(backbone, layers=layers, first_input=first_input).eval()
    nn.init.normal_(encoder.layer_sum.weights)
    assert encoder.layer_sum.weights.shape == (len(places),)
    with torch.no_grad():
        states, _ = encoder(waveforms, all_layers=True)
        shares = encoder.layer_sum.weights.exp()
        shares = shares / shares.sum()
        expected = torch.zeros_like(states[0])
        for share, place in zip(shares, places, strict=True):
            expected += share * states[place]
        torch.testing.assert_close(encoder(waveforms)[0], expected)


def test_l_adapters_are_their_formula(backbone, waveforms):
    block = partial(LayerAdapter, out_features=40)
    encoder = made(backbone, first_input=False, block=block).eval()
    assert (encoder.d_model, encoder.d_out) == (128, 40)
    for parameter in encoder.layer_sum.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        states, _ = encoder(waveforms, all_layers=True)
        shares = encoder.layer_sum.weights.softmax(0)
        expected = 0
        for share, adapter, y in zip(
            shares, encoder.layer_sum.adapters, states[1:], strict=True
        ):
            z = F.gelu(y @ adapter.linear.weight.T + adapter.linear.bias)
            z = z - z.mean(-1, keepdim=True)
            z = z / (z.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            expected += share * (z * adapter.norm.weight + adapter.norm.bias)
        hidden, _ = encoder(waveforms)
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-4)


def test_pooling_and_head_are_as_wide_as_the_adapters(backbone, waveforms):
    block = partial(LayerAdapter, out_features=40)
    encoder = made(backbone, first_input=False, block=block)
    head = partial(nn.Linear, out_features=3)
    model = TunedModel(encoder, head, MeanStdPooling())
    assert model.head.in_features == 80
    assert model(waveforms).shape == (2, 3)
    frames = TunedModel(made(backbone, block=block), head)
    assert frames.head.in_features == 40


def test_the_sum_is_float32_under_autocast(backbone, waveforms):
    block = partial(LayerAdapter, out_features=40)
    encoder = made(backbone, block=block)
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(waveforms)[0].dtype == torch.float32


def test_names_in_a_checkpoint(backbone):
    """Those of the weights are as old as ``hidden_states: weighted``."""
    block = partial(LayerAdapter, out_features=40)
    encoder = made(backbone, layers=[1], first_input=False, block=block)
    head = partial(nn.Linear, out_features=3)
    names = trained_state(TunedModel(encoder, head, MeanStdPooling())).keys()
    assert names == {
        *("head.weight", "head.bias", "layer_weights"),
        *("layer_adapters.0.linear.weight", "layer_adapters.0.linear.bias"),
        *("layer_adapters.0.norm.weight", "layer_adapters.0.norm.bias"),
    }
    assert encoder.settings()["hidden_states"] == {
        "class": "LayerSum",
        "layers": [1],
        "first_input": False,
        "block": {"class": "LayerAdapter", "out_features": 40},
    }


def test_weighted_is_described_as_before(backbone):
    encoder = TunedEncoder(backbone, hidden_states="weighted")
    assert encoder.settings()["hidden_states"] == "weighted"


def test_frozen_layers_keep_no_graph(backbone, waveforms):
    encoder = made(backbone).train()
    states, _ = encoder(waveforms, all_layers=True)
    assert not any(state.requires_grad for state in states)
    assert encoder(waveforms)[0].requires_grad


def test_no_such_layers(backbone):
    with pytest.raises(HparamsError, match="layers is 'last_9'.* has 2 layers"):
        made(backbone, layers="last_9")


def test_prompts_of_later_layers_alone_are_refused(backbone):
    late = PromptTuning(tokens=3, deep=True, layers="last_1")
    with pytest.raises(HparamsError, match="'layers: all'.* 'last_1'"):
        TunedEncoder(backbone, [late], hidden_states=LayerSum)
