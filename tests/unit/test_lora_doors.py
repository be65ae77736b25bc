"""Exports of the forms of LoRA, (IA)3 and SSF: equal to the run, or refused."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForAudioClassification

from petl_modules.exports.exporting import export
from petl_modules.exports.library import sample_input
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.models import combine, trained_state
from petl_modules.utils import ExportError, HparamsError
from tests.exported import assert_near
from tests.sampling import sample

STEMS = ("rslora", "lora_plus", "dora", "pissa", "hira", "ia3", "ssf", "norms")
# The others compute as one of these
SAMPLE = ("dora", "pissa", "ssf")
IN_PEFT = ("rslora", "lora_plus", "dora", "pissa", "norms")
NOT_IN_PEFT = {"hira": "HiRA", "ia3": "Scale", "ssf": "Scale"}


@pytest.fixture(scope="module")
def fold(door_runs):
    """Gives the fold of a run on a small wav2vec 2.0."""
    made = {}

    def of(stem):
        if stem not in made:
            made[stem] = door_runs.write("wav2vec2", stem)
        return made[stem]

    return of


def library(folder, **options):
    return AutoModelForAudioClassification.from_pretrained(folder, **options)


def require_same(model, fold):
    trained = TrainedModel(fold, merge=False)
    inputs = sample_input(trained)
    with torch.no_grad():
        assert_near(model.eval()(inputs).logits, trained.model(inputs))


@pytest.mark.parametrize("stem", sample(STEMS, SAMPLE))
def test_transformers_has_them_in_its_weights(fold, tmp_path, stem):
    export(fold(stem), tmp_path / "out", "transformers")
    require_same(library(tmp_path / "out"), fold(stem))


@pytest.mark.parametrize("stem", sample(IN_PEFT, SAMPLE))
def test_peft_has_them_unmerged(fold, door_runs, tmp_path, stem):
    export(fold(stem), tmp_path / "out", "peft")
    base = library(
        door_runs.backbones["wav2vec2"],
        num_labels=4,
        ignore_mismatched_sizes=True,
        classifier_proj_size=128,
    )
    require_same(PeftModel.from_pretrained(base, tmp_path / "out"), fold(stem))


@pytest.mark.parametrize("stem", NOT_IN_PEFT)
def test_peft_refuses_by_name(fold, tmp_path, stem):
    with pytest.raises(ExportError, match=f"{NOT_IN_PEFT[stem]} is none of"):
        export(fold(stem), tmp_path / "out", "peft")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stem", ["dora", "pissa", "hira"])
def test_their_sums_are_refused(fold, stem):
    model = TrainedModel(fold(stem), merge=False).model
    one = trained_state(model), model.settings()
    with pytest.raises(HparamsError, match="and a sum of such models"):
        combine([one, one], [0.5, 0.5])


def test_factors_are_averaged(fold):
    model = TrainedModel(fold("ia3"), merge=False).model
    state = trained_state(model)
    other = {name: 3 * value for name, value in state.items()}
    pair = [(s, model.settings()) for s in (state, other)]
    found = combine(pair, [0.5, 0.5]).state
    for name, value in state.items():
        torch.testing.assert_close(found[name], 2 * value)
