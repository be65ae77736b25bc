"""Exports and sums of mixtures of LoRA and of GC-LoRA: refused by name."""

import pytest
import torch

from petl_modules.exports.exporting import export
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.methods import Adapted, merge_methods
from petl_modules.models import combine, trained_state
from petl_modules.utils import ExportError, HparamsError
from tests.sampling import sample

BLOCKS = {
    "dense_moa_lora": "DenseMoA",
    "gc_lora": "GCLoRA",
    "soft_moa_lora": "SoftMoA",
}
STEMS = sample([*BLOCKS], ("dense_moa_lora", "gc_lora"))


@pytest.fixture(params=STEMS, scope="module")
def stem(request):
    return request.param


@pytest.fixture(scope="module")
def fold(stem, door_runs):
    return door_runs.write("wav2vec2", stem)


@pytest.fixture
def model(fold):
    return TrainedModel(fold, merge=False).model


@pytest.mark.parametrize("format", ["transformers", "peft"])
def test_formats_of_weights_refuse_them(format, stem, fold, tmp_path):
    words = f"{BLOCKS[stem]} is no part of its encoders, and cannot be merged"
    with pytest.raises(ExportError, match=words):
        export(fold, tmp_path / "out", format)
    assert not (tmp_path / "out").exists()


def test_merging_leaves_them_as_they_are(model):
    before = {name: v.clone() for name, v in model.state_dict().items()}
    merge_methods(model)
    adapted = [m for m in model.modules() if isinstance(m, Adapted)]
    assert adapted and not any(m.merged or m.mergeable for m in adapted)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_negation_and_no_sum_that_is_no_mean(model):
    one = trained_state(model), model.settings()
    for weights in ([-1.0], [1.0, 1.0]):
        pair = [one] * len(weights)
        with pytest.raises(HparamsError, match="is of a nonlinear block"):
            combine(pair, weights, head=0)


def test_a_mean_is_to_be_evaluated(model):
    state = trained_state(model)
    other = {name: 3 * value for name, value in state.items()}
    pair = [(s, model.settings()) for s in (state, other)]
    found = combine(pair, [0.5, 0.5])
    assert found.nonlinear
    for name, value in state.items():
        torch.testing.assert_close(found.state[name], 2 * value)
