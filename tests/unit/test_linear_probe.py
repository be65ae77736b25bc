"""A probe on pooled features is the linear probe of the whole model."""

import copy
import os
from functools import partial

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.run_opts import RunOptions
from test_methods import LABELS, Kind
from torch import nn

from petl_modules.backbones import Wav2Vec2
from petl_modules.blocks import LayerAdapter
from petl_modules.data import ClipDataset, SpecAugment, Windows
from petl_modules.models import (
    AttentionPooling,
    LayerSum,
    MeanPooling,
    Probe,
    TunedModel,
)
from petl_modules.training import pool_once
from petl_modules.training.linear_probe import obstacle
from tests.models import classifier

LAST_AND_FIRST = partial(LayerSum, layers=[1], first_input=True)
STATES = {"last": "last", "all": "weighted", "some": LAST_AND_FIRST}


def built(kind, states, train_norms):
    """A linear probe on the states of some layers."""
    model = kind.from_yaml("linear", train_norms=train_norms)
    encoder = type(model.encoder)(
        kind.backbone(),
        tokens=model.encoder.tokens,
        hidden_states=STATES[states],
        train_norms=train_norms,
    )
    head = partial(nn.Linear, out_features=len(LABELS))
    return TunedModel(encoder, head, MeanPooling())


@pytest.mark.parametrize("states", STATES)
@pytest.mark.parametrize("train_norms", [False, True])
def test_logits_and_gradients_are_those_of_the_model(kind, states, train_norms):
    if kind.name == "group" and train_norms:
        pytest.skip("its norm stands in front of the layers")
    model = built(kind, states, train_norms)
    norm = model.encoder.backbone.sites.module("final_norm")
    probe, inputs = Probe(model), kind.inputs()
    pooled = probe.pool(inputs)  # with the weights of before the training
    if train_norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    if states != "last":
        nn.init.normal_(model.encoder.layer_sum.weights)
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
    norm = model.encoder.backbone.sites.module("final_norm")
    nn.init.normal_(norm.weight)
    before = norm.weight.data
    Probe(model).pool(torch.randn(1, 500, 128))
    assert norm.weight.data.data_ptr() == before.data_ptr()


def reason(model, **changes):
    """Why its features cannot be pooled once."""
    return obstacle({"model": model, "augment": nn.Identity(), **changes})


def test_what_forbids_it(tiny_ast, tiny_wav2vec2):
    kind = Kind("ast", tiny_ast)
    linear = kind.from_yaml("linear")
    assert reason(linear) is None
    augment = SpecAugment(24, 80)
    assert "SpecAugment changes" in reason(linear, augment=augment)
    for windows in (Windows("random"), Windows(test=2)):
        assert "windows has train" in reason(linear, windows=windows)
    assert reason(linear, windows=Windows(test="whole")) is None
    assert "mixup is 0.5" in reason(linear, mixup=0.5)
    front = classifier(Wav2Vec2(tiny_wav2vec2["group"]), LABELS)
    assert "in front of the layers" in reason(front)


def test_what_is_trained_before_the_head_forbids_it(tiny_ast):
    kind = Kind("ast", tiny_ast)
    weighted = kind.from_yaml("linear", hidden_states="weighted")
    assert reason(weighted) is None
    sums = partial(LayerSum, block=partial(LayerAdapter, out_features=8))
    adapted = classifier(kind.backbone(), LABELS, hidden_states=sums)
    assert "trains a block for each layer" in reason(adapted)

    class Squared(LayerSum):
        """It does not commute with the mean."""

    weighted.encoder.layer_sum = Squared(weighted.encoder.backbone.sites)
    assert "is Squared, not LayerSum" in reason(weighted)
    linear = kind.from_yaml("linear")
    linear.pooling = AttentionPooling(128)
    assert "AttentionPooling, not MeanPooling" in reason(linear)
    linear.pooling = None
    assert "NoneType, not MeanPooling" in reason(linear)

    class OfSquares(MeanPooling):
        """It does not commute with the norm's scale and shift."""

    linear.pooling = OfSquares()
    assert "OfSquares, not MeanPooling" in reason(linear)


@pytest.mark.parametrize("windows", [Windows("random"), Windows(test=2)])
def test_windows_that_move_are_not_pooled(windows, tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("linear")
    hparams = {"model": model, "augment": nn.Identity(), "windows": windows}
    given = ({}, hparams)
    found = pool_once(*given, RunOptions(device="cpu"), {})
    assert all(a is b for a, b in zip(found, given))


def noise(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(500, 128, generator=generator)


PIPELINE = [
    {"func": noise, "takes": "number", "provides": "features"},
    {"func": torch.tensor, "takes": "label", "provides": "target"},
]


class Fold:
    """Pools one fold of the clips a to d, in a run with others."""

    def __init__(self, kind, **changes):
        self.model = kind.from_yaml("linear", **changes)

    def try_to_pool(self, known, train, test, precision="fp32"):
        datasets = {}
        for part, clips in (("train", train), ("test", test)):
            records = {
                clip: {"number": ord(clip), "label": [0], "duration": 5.0}
                for clip in clips
            }
            keys = ["id", "features", "target"]
            datasets[part] = ClipDataset(records, PIPELINE, keys)
        hparams = {
            "model": self.model,
            "modules": {"model": self.model},
            "precision": precision,
            "augment": nn.Identity(),
            "train_loader": {"num_workers": 1},
            "test_loader": {"batch_size": 3, "collate_fn": PaddedBatch},
        }
        before = copy.copy(hparams)
        before.update(
            {key: {**hparams[key]} for key in ("train_loader", "test_loader")}
        )
        options = RunOptions(device="cpu", noprogressbar=True)
        pooled, changed = pool_once(datasets, hparams, options, known)
        assert hparams == before  # the caller's own
        return pooled, changed

    def pool(self, *clips):
        pooled, changed = self.try_to_pool(*clips)
        assert isinstance(changed["modules"]["model"], Probe)
        assert changed["train_loader"] == {"num_workers": 0}
        return [c["features"] for part in pooled.values() for c in part]


def test_folds_of_the_same_clips_share_their_features(tiny_ast):
    kind, known = Kind("ast", tiny_ast), {}
    first = Fold(kind).pool(known, "abc", "d")
    held = {id(value) for value in known.values()}
    second = Fold(kind).pool(known, "dc", "ab")
    assert {id(value) for value in known.values()} == held
    a, b, c, d = first
    assert all(map(torch.equal, second, [d, c, a, b]))
    # And as if there had been no first one, to the last bit
    alone = {}
    assert all(map(torch.equal, second, Fold(kind).pool(alone, "dc", "ab")))
    assert [[*pooled] for pooled in alone.values()] == [["a", "b", "c", "d"]]


def test_folds_do_not_share_what_another_precision_computed(tiny_ast):
    kind, known = Kind("ast", tiny_ast), {}
    first = Fold(kind).pool(known, "ab", "cd", "bf16")
    second = Fold(kind).pool(known, "cd", "ab", "bf16")
    assert all(
        map(torch.equal, second, Fold(kind).pool({}, "cd", "ab", "bf16"))
    )
    assert not torch.equal(first[0], second[2])  # clip a, in bf16 and fp32
    assert len(known) == 2


def test_folds_do_not_share_those_of_another_backbone(tiny_ast):
    known, (one, other) = {}, [Fold(Kind("ast", tiny_ast)) for _ in range(2)]
    other.model.encoder.backbone.settings["weights"] = "others"
    with torch.no_grad():
        for parameter in other.model.encoder.backbone.parameters():
            parameter.mul_(1.1)
    first = one.pool(known, "ab", "c")
    second = other.pool(known, "ab", "c")
    assert not torch.equal(first[0], second[0])


def test_folds_do_not_share_those_of_other_layers(tiny_ast):
    kind, known = Kind("ast", tiny_ast), {}
    (last, *_) = Fold(kind).pool(known, "ab", "c")
    (states, *_) = Fold(kind, hidden_states="weighted").pool(known, "ab", "c")
    assert last.shape == (128,) and states.shape == (3, 128)
    torch.testing.assert_close(states[-1], last)


def test_features_larger_than_half_of_the_memory_are_not_kept(
    tiny_ast, monkeypatch, caplog
):
    """Three clips and three states of 128 numbers take 4,608 bytes."""
    fold = Fold(Kind("ast", tiny_ast), hidden_states="weighted")
    sizes = {"SC_PAGE_SIZE": 4_608, "SC_PHYS_PAGES": 2}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    assert len(fold.pool({}, "ab", "c")) == 3
    sizes["SC_PAGE_SIZE"] = 4_607
    _, changed = fold.try_to_pool({}, "ab", "c")
    assert changed["modules"]["model"] is fold.model
    assert "3 states of 3 clips" in caplog.text
