"""The fast ways through a recipe end where the plain one does."""

import json
import time

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from petl_modules.backbones import AST
from petl_modules.training import linear_probe
from tests.sampling import sample


def run(esc50, words, folder, stem, **changes):
    """Trains fold 1; its result and its predictions."""
    esc50.main(words(stem, output_folder=folder, **changes))
    fold = folder / "fold1"
    result = json.loads((fold / "result.json").read_text("utf-8"))["fold"]
    result.pop("seconds")
    return result, (fold / "predictions.csv").read_text("utf-8")


def test_cached_features_change_nothing(esc50, words, tmp_path, monkeypatch):
    cache = {"feature_cache": tmp_path / "cache"}
    plain = run(esc50, words, tmp_path / "plain", "soft_moa")
    filled = run(esc50, words, tmp_path / "first", "soft_moa", **cache)
    monkeypatch.setattr(
        "petl_modules.data.loading.read_audio", None
    )  # nothing read
    found = run(esc50, words, tmp_path / "later", "soft_moa", **cache)
    assert plain == filled == found


def test_a_cache_in_float16_is_near(esc50, words, tmp_path):
    plain, _ = run(esc50, words, tmp_path / "plain", "lora")
    found, _ = run(
        esc50,
        words,
        tmp_path / "out",
        "lora",
        feature_cache=tmp_path / "cache",
        feature_cache_dtype="float16",
    )
    assert found["weights_sha256"] != plain["weights_sha256"]
    assert found["test_loss"] == pytest.approx(plain["test_loss"], rel=1e-2)


def test_float16_without_a_cache_is_refused(esc50, words, tmp_path):
    line = words("lora", output_folder=tmp_path, feature_cache_dtype="float16")
    with pytest.raises(SystemExit, match="name its folder with --feature_ca"):
        esc50.main(line)


@pytest.mark.parametrize("choice", ["feed_forward", "layer"])
def test_recomputing_changes_nothing(choice, esc50, words, tmp_path):
    plain, _ = run(esc50, words, tmp_path / "plain", "conformer")
    found, _ = run(
        esc50, words, tmp_path / "out", "conformer", recompute=choice
    )
    for key in ("train_loss", "valid_loss", "test_loss"):
        assert found[key] == pytest.approx(plain[key], rel=1e-4), key


def test_a_backbone_in_bfloat16_is_near(esc50, words, tmp_path):
    plain, _ = run(esc50, words, tmp_path / "plain", "soft_moa")
    found, _ = run(
        esc50, words, tmp_path / "out", "soft_moa", backbone_dtype="bfloat16"
    )
    assert found["weights_sha256"] != plain["weights_sha256"]
    assert found["test_loss"] == pytest.approx(plain["test_loss"], rel=5e-2)


def test_bfloat16_in_fp16_is_refused(esc50, words, tmp_path):
    line = words(
        "lora",
        output_folder=tmp_path,
        precision="fp16",
        backbone_dtype="bfloat16",
    )
    with pytest.raises(SystemExit, match="do not go together"):
        esc50.main(line)


# Hidden states of frozen layers


@pytest.mark.whole
@pytest.mark.parametrize(
    ("method", "start"), [("bottleneck", 1), ("ladder", 2)]
)
def test_kept_hidden_states_change_nothing(
    method, start, esc50, words, tmp_path
):
    """Of batches of one clip: a product may depend on the batch's size."""
    last = {"layers": "last_1", "augment": "!new:torch.nn.Identity {}"}
    last |= {"batch_size": 1, "test_batch_size": 1, "number_of_epochs": 2}
    kept = {**last, "hidden_cache": tmp_path / "cache"}
    plain = run(esc50, words, tmp_path / "plain", method, **last)
    filled = run(esc50, words, tmp_path / "first", method, **kept)
    found = run(esc50, words, tmp_path / "later", method, **kept)
    assert plain == filled == found
    stores = (tmp_path / "cache").glob(f"layer{start}-*/about.json")
    assert len([*stores]) == 1


@pytest.mark.whole
@pytest.mark.parametrize("layers", ["last_1", "all"])
@pytest.mark.parametrize("recipe", ["GSC", "LibriSpeech"])
def test_kept_states_of_speech_change_nothing(
    recipe, layers, script, places, tmp_path, monkeypatch
):
    """Clips of different lengths, padded; with "all", those of the stem."""
    monkeypatch.chdir(tmp_path)
    train = script(f"recipes/{recipe}/train.py")
    data = {"GSC": "speech_commands_v0.02"}.get(recipe, recipe)
    results = []
    for cache in ("", tmp_path / "cache"):
        folder = tmp_path / f"out{bool(cache)}"
        train.main(
            [
                "hparams/lora.yaml",
                "--base=wav2vec2.yaml",
                f"--data_folder={places[data]}",
                f"--backbone={places['tiny-wav2vec2']}",
                f"--hidden_cache={cache}",
                f"--layers={layers}",
                "--allow_partial=True",
                f"--output_folder={folder}",
                "--number_of_epochs=2",
                "--num_workers=0",
                "--device=cpu",
                "--noprogressbar",
            ]
        )
        file = folder / "fold1" / "result.json"
        results.append(json.loads(file.read_text("utf-8"))["fold"])
    assert [*(tmp_path / "cache").glob("*/*.safetensors")]
    for key, value in results[0].items():
        if key.endswith(("loss", "accuracy", "wer")) and value is not None:
            assert results[1][key] == pytest.approx(value, rel=1e-4), key


# Linear probes

PLAIN = {"augment": "!new:torch.nn.Identity {}", "number_of_epochs": 4}


@pytest.fixture
def calls(monkeypatch):
    """Clips of each call of the backbone."""
    calls, forward = [], AST.forward

    def counted(self, inputs, lengths=None):
        calls.append(len(inputs))
        return forward(self, inputs, lengths)

    monkeypatch.setattr(AST, "forward", counted)
    return calls


@pytest.mark.parametrize(
    "method", sample(["linear", "layer_sum"], ["layer_sum"])
)
def test_pooled_once_ends_like_pooled_each_time(
    method, esc50, words, tmp_path, calls
):
    once = run(esc50, words, tmp_path / "once", method, **PLAIN)
    assert sum(calls) == 50  # each clip, once
    each = run(
        esc50, words, tmp_path / "each", method, pool_once=False, **PLAIN
    )
    assert sum(calls) > 50 + 4 * (30 + 10)
    for key, value in each[0].items():
        if key.endswith("loss"):
            assert once[0][key] == pytest.approx(value, rel=1e-5), key
        elif key != "weights_sha256":
            assert once[0][key] == value, key


def test_folds_share_what_is_pooled(esc50, words, tmp_path, calls):
    many = {**PLAIN, "folds": "[1,2]", "test_batch_size": 7}
    esc50.main(words("linear", output_folder=tmp_path / "both", **many))
    assert sum(calls) == 50
    alone = {**many, "folds": "[2]"}
    esc50.main(words("linear", output_folder=tmp_path / "alone", **alone))
    both, one = (
        json.loads((tmp_path / name / "fold2" / "result.json").read_text())
        for name in ("both", "alone")
    )
    del both["fold"]["seconds"], one["fold"]["seconds"]
    assert both["fold"] == one["fold"]  # the weights' hash among it


def test_the_time_of_pooling_counts(esc50, words, tmp_path, monkeypatch):
    pool = esc50.pool_once

    def slow(*args):
        time.sleep(2)
        return pool(*args)

    monkeypatch.setattr(esc50, "pool_once", slow)
    esc50.main(words("linear", output_folder=tmp_path, **PLAIN))
    result = json.loads((tmp_path / "fold1" / "result.json").read_text("utf-8"))
    assert result["fold"]["seconds"] > 2


def test_a_debug_run_neither_pools_nor_caches(
    esc50, words, tmp_path, monkeypatch
):
    monkeypatch.setattr(linear_probe, "Probe", None)
    cache = tmp_path / "cache"
    line = words("linear", output_folder=tmp_path, feature_cache=cache, **PLAIN)
    esc50.main([*line, "--debug"])
    assert not cache.exists()


def test_speech_is_pooled_once_as_it_is_tested(
    script, places, tmp_path, monkeypatch
):
    """Clips of different lengths, each alone."""
    monkeypatch.chdir(tmp_path)
    gsc = script("recipes/GSC/train.py")
    results = []
    for once in (True, False):
        gsc.main(
            [
                "hparams/linear.yaml",
                "--base=wav2vec2.yaml",
                f"--data_folder={places['speech_commands_v0.02']}",
                f"--backbone={places['tiny-wav2vec2']}",
                "--allow_partial=True",
                f"--output_folder={tmp_path / str(once)}",
                f"--pool_once={once}",
                "--number_of_epochs=2",
                "--batch_size=1",  # so that the plain way pads nothing
                "--num_workers=0",
                "--device=cpu",
                "--noprogressbar",
            ]
        )
        file = tmp_path / str(once) / "fold1" / "result.json"
        results.append(json.loads(file.read_text("utf-8"))["fold"])
    for key, value in results[1].items():
        if key.endswith(("loss", "accuracy")):
            assert results[0][key] == pytest.approx(value, rel=1e-4), key


def test_it_is_told_why_features_are_not_pooled_once(
    esc50, words, tmp_path, monkeypatch
):
    told = []
    monkeypatch.setattr(linear_probe.logger, "info", told.append)
    run(esc50, words, tmp_path / "linear", "linear")
    assert "SpecAugment changes them in every epoch" in told[0]
    told.clear()
    run(esc50, words, tmp_path / "lora", "lora")
    assert told == []


# Nothing is waited for, and nothing is computed in vain


READS = {"item", "tolist", "numpy", "cpu", "nonzero", "unique"}
READS |= {"__bool__", "__float__", "__int__", "__index__", "__contains__"}


class Calls(TorchFunctionMode):
    """Notes calls that make a program wait for its device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READS:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Kernels(TorchDispatchMode):
    """Notes the same where a library of compiled code calls it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        ):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "stem, every",
    [("soft_moa", 20), ("conformer", 20), ("prefix", 20), ("prefix", 1)],
)
def test_no_step_waits_for_the_device(
    stem, every, esc50, words, tmp_path, monkeypatch
):
    """On a GPU losses are read every 20 steps; on a CPU in each."""
    monkeypatch.setattr(esc50.ESC50Brain, "steps_between_reads", every)
    calls, kernels, fit_batch = Calls(), Kernels(), esc50.ESC50Brain.fit_batch
    evaluate_batch = esc50.ESC50Brain.evaluate_batch
    steps = []

    def counted(batch_function):
        def call(self, *args, **kwargs):
            steps.append(batch_function)
            with calls, kernels:
                return batch_function(self, *args, **kwargs)

        return call

    monkeypatch.setattr(esc50.ESC50Brain, "fit_batch", counted(fit_batch))
    monkeypatch.setattr(
        esc50.ESC50Brain, "evaluate_batch", counted(evaluate_batch)
    )
    run(esc50, words, tmp_path, stem)
    assert {fit_batch, evaluate_batch} <= set(steps)
    in_training = steps.count(fit_batch)
    assert calls.found == (["tolist"] * in_training if every == 1 else [])
    assert kernels.found == []


def test_evaluation_keeps_nothing_for_a_backward_pass(
    esc50, words, tmp_path, monkeypatch
):
    evaluate_batch, losses = esc50.ESC50Brain.evaluate_batch, []

    def spied(self, batch, stage):
        losses.append(evaluate_batch(self, batch, stage))
        return losses[-1]

    monkeypatch.setattr(esc50.ESC50Brain, "evaluate_batch", spied)
    line = words("lora", output_folder=tmp_path, debug_persistently=True)
    esc50.main([*line, "--debug"])  # which finds frozen weights that changed
    assert losses and all(loss.is_inference() for loss in losses)
