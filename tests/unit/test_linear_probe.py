"""A probe on pooled features is the linear probe of the whole model."""

import pytest
import torch
from test_methods import LABELS, Kind
from torch import nn

from petl_modules.backbones import Wav2Vec2
from petl_modules.features import SpecAugment
from petl_modules.linear_probe import PooledClips, Probe, obstacle
from petl_modules.tuned_model import TunedModel


@pytest.fixture(params=["ast", "group", "layer"])
def kind(request, tiny_ast, tiny_wav2vec2):
    folders = {"ast": tiny_ast, **tiny_wav2vec2}
    return Kind(request.param, folders[request.param])


@pytest.mark.parametrize("train_norms", [False, True])
def test_logits_and_gradients_are_those_of_the_model(kind, train_norms):
    if kind.name == "group" and train_norms:
        pytest.skip("its norm stands in front of the layers")
    model = kind.from_yaml("linear", train_norms=train_norms)
    norm = model.backbone.sites.module("final_norm")
    probe, inputs = Probe(model), kind.inputs()
    pooled = probe.pool(inputs)  # with the weights of before the training
    if train_norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in probe.parameters() if p.requires_grad} == {
        id(p) for p in trained
    }
    found, expected = probe(pooled), model.eval()(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), trained),
        torch.autograd.grad(expected.square().sum(), trained),
        rtol=1e-4,
        atol=1e-4,
    )


def test_pooling_leaves_the_norm_as_it_was(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("linear")
    norm = model.backbone.sites.module("final_norm")
    nn.init.normal_(norm.weight)
    before = norm.weight.data
    Probe(model).pool(torch.randn(1, 500, 128))
    assert norm.weight.data.data_ptr() == before.data_ptr()


def test_what_forbids_it(tiny_ast, tiny_wav2vec2):
    kind, same = Kind("ast", tiny_ast), nn.Identity()
    linear = kind.from_yaml("linear")
    assert obstacle(linear, same) is None
    assert "SpecAugment changes" in obstacle(linear, SpecAugment(24, 80))
    front = TunedModel(Wav2Vec2(tiny_wav2vec2["group"]), LABELS)
    assert "in front of the layers" in obstacle(front, same)


def test_clips_that_could_not_be_read_stay_in_their_place():
    one = (torch.tensor([1.0, 1.0]), torch.tensor([1]))
    clips = PooledClips(["a", "b"], {"other": None, "b": one})
    assert len(clips) == 2
    assert clips[0] == {"id": "a", "features": None, "target": None}
    assert clips[1] == {"id": "b", "features": one[0], "target": one[1]}
