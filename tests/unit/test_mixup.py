"""Mixup of waveforms: what is drawn, mixed, learnt and refused."""

import pickle
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch

from petl_modules.data import (
    EpochBatches,
    Mix,
    Waveform,
    make_datasets,
    mix_waveforms,
)
from petl_modules.runs import RecipeFile
from petl_modules.runs.checks import check_values
from petl_modules.training import ClassificationMetrics, make_train_loader
from petl_modules.utils import HparamsError

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000
LABELS = ["low", "high", "noise"]


def mixes(size=2_000, epoch=1, mixup=0.5, **rank):
    sampler = EpochBatches([1.0] * size, 8, seed=10, mixup=mixup)
    sampler.set_epoch(epoch)
    vars(sampler).update(rank)
    return [mix for batch in sampler for mix in batch]


def test_the_order_is_that_without_mixing():
    plain = [
        i for batch in EpochBatches([1.0] * 2_000, 8, seed=10) for i in batch
    ]
    assert [mix.first for mix in mixes()] == plain


def test_draws_depend_on_seed_and_epoch_alone():
    assert mixes(epoch=1) == mixes(epoch=1) != mixes(epoch=2)
    whole, halves = mixes(), (mixes(rank=rank, processes=2) for rank in (0, 1))
    assert sorted(whole) == sorted(mix for half in halves for mix in half)


def test_draws_have_the_probability_and_the_beta_distribution():
    drawn = mixes()
    weights = np.array([mix.weight for mix in drawn if mix.weight < 1])
    assert len(weights) / len(drawn) == pytest.approx(0.5, abs=0.04)
    assert weights.mean() == pytest.approx(0.5, abs=0.02)
    assert weights.var() == pytest.approx(1 / (4 * 21), rel=0.15)
    whole = [mix for mix in drawn if mix.weight == 1]
    assert all(mix.first == mix.second for mix in whole)


@pytest.mark.parametrize("length", [300, 500])
def test_waveforms_are_added_without_their_means(length):
    first, second = torch.randn(400) + 1, torch.randn(length) - 2
    padded = torch.zeros(400)
    padded[:length] = (second - second.mean())[:400]
    expected = 0.3 * (first - first.mean()) + 0.7 * padded
    torch.testing.assert_close(mix_waveforms(first, second, 0.3), expected)


@pytest.fixture
def records(tmp_path):
    draws = np.random.default_rng(0)
    found = {}
    for label in LABELS:
        samples = draws.uniform(-0.5, 0.5, RATE // 2)
        soundfile.write(tmp_path / f"{label}.wav", samples, RATE)
        found[label] = {
            "wav": f"{{data_root}}/{label}.wav",
            "label": label,
            "duration": 0.5,
        }
    return found


def dataset_of(records, folder):
    features = Waveform(seconds=1.0)
    return make_datasets({"train": records}, folder, features, LABELS)["train"]


def test_an_item_has_both_clips_and_the_shares_of_their_classes(
    records, tmp_path
):
    dataset = pickle.loads(pickle.dumps(dataset_of(records, tmp_path)))
    item = dataset[Mix(2, 0, 0.25)]
    sounds = [
        torch.from_numpy(soundfile.read(tmp_path / f"{name}.wav")[0]).float()
        for name in ("noise", "low")
    ]
    expected = Waveform(seconds=1.0)(mix_waveforms(*sounds, 0.25))
    assert item["id"] == "noise"
    torch.testing.assert_close(item["features"], expected)
    assert item["target"].tolist() == [0.75, 0, 0.25]


def test_a_clip_that_is_not_mixed_is_the_clip(records, tmp_path):
    dataset = dataset_of(records, tmp_path)
    item, plain = dataset[Mix(1, 1, 1.0)], dataset[1]
    assert torch.equal(item["features"], plain["features"])
    assert item["target"].tolist() == [0, 1, 0]


def test_a_batch_learns_from_soft_labels(records, tmp_path):
    dataset = dataset_of(records, tmp_path)
    batch = PaddedBatch([dataset[Mix(0, 1, 0.4)], dataset[Mix(2, 2, 1.0)]])
    targets = batch.target.data.squeeze(1)
    logits = torch.randn(2, 3)
    losses = F.cross_entropy(logits, targets, reduction="none")
    logs = logits.log_softmax(-1)
    expected = [-(0.4 * logs[0, 0] + 0.6 * logs[0, 1]), -logs[1, 2]]
    torch.testing.assert_close(losses, torch.stack(expected))
    metrics = ClassificationMetrics(LABELS)
    metrics.append(batch.id, torch.eye(3)[1:], targets, losses)
    assert metrics.summarize()["accuracy"] == 1  # the larger share counts


def test_features_of_before_are_refused(records, tmp_path):
    dataset = dataset_of(records, tmp_path)
    dataset.mix = None  # as with a cache
    batches = partial(EpochBatches, batch_size=2, seed=10, mixup=0.5)
    with pytest.raises(HparamsError, match="Leave out feature_cache, or"):
        make_train_loader(SimpleNamespace(), dataset, batches, {})


def test_a_cache_is_refused_before_it_is_filled():
    recipe = RecipeFile.read(ROOT / "recipes/GSC/hparams/ipet.yaml")
    check_values(recipe.settings)
    with pytest.raises(HparamsError, match="or give --mixup 0"):
        check_values({**recipe.settings, "feature_cache": "features"})


@pytest.mark.parametrize("mixup", [-0.1, 1.5, "often"])
def test_no_probability(mixup):
    with pytest.raises(HparamsError, match=f"mixup is {mixup}"):
        EpochBatches([1.0] * 4, 2, seed=10, mixup=mixup)
