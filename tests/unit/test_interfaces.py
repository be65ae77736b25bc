"""Objects of a recipe file that a run cannot use, known before it trains."""

from collections import OrderedDict
from functools import partial
from pathlib import Path

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from petl_modules.data import SpecAugment
from petl_modules.runs import compose
from petl_modules.runs.interfaces import check_objects, rehearse, uses
from petl_modules.training import SafeCheckpointer, Timer
from petl_modules.utils import HparamsError

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ESC50"
SCRIPT = RECIPE / "train.py"


@pytest.fixture(scope="module")
def right(tiny_ast, tmp_path_factory):
    """The objects of a recipe file."""
    folder = tmp_path_factory.mktemp("run")
    words = [f"--backbone={tiny_ast}", f"--output_folder={folder}"]
    recipe, _ = compose(["hparams/bottleneck.yaml", *words], RECIPE)
    values = {"mel_bins": 128, "sample_rate": 16000, "mean": 0.0, "std": 1.0}
    recipe.update({**values, "do_normalize": True})
    return recipe.make_all(labels=["cat", "dog"])


def check(made):
    check_objects(made, SCRIPT)
    rehearse(made, SCRIPT, [1.0] * 8, "cpu")


def test_what_train_py_uses():
    found = uses(SCRIPT)
    assert found["metrics"] == {"append", "clear", "summarize", "predictions"}
    assert found["loss"] == found["lr_schedule"] == {"__call__"}
    assert found["test_loader"] == set()


def test_right_objects_pass_and_draw_no_random_numbers(right):
    before = torch.get_rng_state()
    check(right)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(right["checkpointer"].checkpoints_dir.iterdir())


@pytest.mark.parametrize(
    "key",
    [
        *("augment", "cache", "checkpointer", "epoch_counter", "features"),
        *("loss", "lr_schedule", "metrics", "model", "opt_class", "timer"),
        *("train_batches", "train_logger"),
    ],
)
def test_object_of_another_kind_is_named(key, right):
    words = f"^{key}, in the recipe file: OrderedDict (cannot be|has no)"
    with pytest.raises(HparamsError, match=words):
        check_objects({**right, key: OrderedDict()}, SCRIPT)


def raises(*arguments, **options):
    raise KeyError("width")


WRONG = {
    "class": ("timer", Timer, "timer, .*: Timer is a class, of which !new:"),
    "partial": ("timer", partial(Timer), "timer, .*: partial has no"),
    "no module": ("modules", {"model": 3}, "modules: model, .*: int has no"),
    "another model": (
        "modules",
        {"model": torch.nn.Identity()},
        "modules: model, .*: Identity has no",
    ),
    "optimiser": ("opt_class", torch.nn.Identity, "opt_class, .*Identity has"),
    "closure": ("opt_class", torch.optim.LBFGS, "opt_class, .*: .*closure"),
    "rate": ("opt_class", partial(torch.optim.Adam, lr=-1), "opt_class, .*-1"),
    "schedule": (
        "lr_schedule",
        torch.optim.lr_scheduler.StepLR,
        "lr_schedule, .*'T_max'",
    ),
    "sampler": ("train_batches", torch.nn.Identity, "train_batches, .*has no"),
    "loader": ("test_loader", {"foo": 1}, "test_loader, .*'foo'"),
    "batches": (
        "test_loader",
        {"batch_size": "x"},
        "test_loader, .*batch_size",
    ),
    "shape": ("augment", torch.nn.Linear(3, 3), "augment, .*: mat1 and mat2"),
    "raising": ("augment", raises, "augment, .*: KeyError: width"),
    "no tensor": ("augment", print, "augment, .*: NoneType has no 'shape'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_object_that_cannot_be_used_is_named(case, right):
    key, thing, words = WRONG[case]
    with pytest.raises(HparamsError, match=f"^{words}"):
        check({**right, key: thing})


def test_features_are_tensors(right):
    def features(samples):
        return samples.tolist()

    features.sample_rate = 16000
    with pytest.raises(HparamsError, match="^features, .* a list of a clip"):
        check({**right, "features": features})


def test_cache_is_only_tried_where_it_is_used(right):
    made = {**right, "cache": torch.nn.Identity}
    check(made)
    with pytest.raises(HparamsError, match="^cache, .*: Identity has no"):
        check({**made, "feature_cache": "somewhere"})


def test_checkpoints_save_the_model(right, tmp_path):
    checkpointer = SafeCheckpointer(tmp_path)
    with pytest.raises(HparamsError, match="^checkpointer, .*save the model"):
        check({**right, "checkpointer": checkpointer})


def test_object_that_no_checkpoint_can_save_is_named(right, tmp_path):
    saved = {"model": right["model"], "timer": OrderedDict()}
    checkpointer = SafeCheckpointer(tmp_path, saved)
    words = "^checkpointer: timer, .*OrderedDict, which no checkpoint can save"
    with pytest.raises(HparamsError, match=words):
        check({**right, "checkpointer": checkpointer})


@pytest.mark.parametrize("widths", [("x", 80), (-1, 80), (1.5, 80), (24, None)])
def test_masks_have_a_width(widths):
    with pytest.raises(HparamsError, match="SpecAugment: (freq|time): expect"):
        SpecAugment(*widths)


def test_no_epochs(right):
    with pytest.raises(HparamsError, match="^epoch_counter, .*: it has none"):
        check({**right, "epoch_counter": EpochCounter(0)})
