"""Training batches of bounded length."""

import math
import random

import pytest

from petl_modules.data import DurationBatches, duration_batches
from petl_modules.training import make_train_loader
from petl_modules.utils import HparamsError


def drawn(count, seed=0):
    """Durations as those of read sentences: few short, many long ones."""
    draw = random.Random(seed)
    return [round(draw.triangular(1.5, 17.0, 15.0), 2) for _ in range(count)]


@pytest.fixture
def dealt(monkeypatch):
    """Makes the samplers of all processes."""

    def make(durations, seconds, processes, epoch=1, accumulation=1):
        samplers = []
        for rank in range(processes):
            values = {"get_rank": rank, "n_processes": processes}
            for name, value in values.items():
                monkeypatch.setattr(
                    duration_batches, name, lambda value=value: value
                )
            sampler = DurationBatches(durations, seconds, 10, accumulation)
            sampler.set_epoch(epoch)
            samplers.append(sampler)
        return samplers

    return make


CASES = [(1, 20, 1), (7, 60, 1), (300, 60, 1), (300, 60, 2), (41, 33, 3)]


@pytest.mark.parametrize(("size", "seconds", "processes"), CASES)
def test_every_clip_counts_once(size, seconds, processes, dealt):
    durations = drawn(size)
    for epoch in (1, 2):
        counted = []
        samplers = dealt(durations, seconds, processes, epoch)
        for sampler in samplers:
            batches = list(sampler)
            assert len(batches) == len(sampler) == len(samplers[0])
            for step, batch in enumerate(batches, 1):
                counted += batch[: sampler.loss_weight(step)[0]]
        assert sorted(counted) == list(range(size))


@pytest.mark.parametrize(("size", "seconds", "processes"), CASES)
def test_batches_are_bounded(size, seconds, processes, dealt):
    durations = drawn(size)
    for sampler in dealt(durations, seconds, processes):
        for batch in sampler:
            longest = max(durations[clip] for clip in batch)
            assert longest * len(batch) <= seconds


def test_longer_clips_are_batches_of_their_own():
    durations = [30.0, 31.0, *drawn(50)]
    alone = [b for b in DurationBatches(durations, 20.0, 1) if {0, 1} & {*b}]
    assert sorted(alone) == [[0], [1]]


def test_little_is_padded():
    durations = drawn(3000)
    batches = list(DurationBatches(durations, 100.0, seed=1))
    padded = sum(max(durations[c] for c in b) * len(b) for b in batches)
    assert sum(durations) / padded > 0.9
    assert len(batches) < 1.25 * sum(durations) / 100


def test_order_is_of_seed_and_epoch_alone():
    durations = drawn(100)
    sampler = DurationBatches(durations, 40.0, seed=3)
    first = list(sampler)
    sampler.set_epoch(2)
    second = list(sampler)
    assert list(sampler) == second != first
    resumed = DurationBatches(durations, 40.0, seed=3)
    resumed.set_epoch(2)
    assert list(resumed) == second
    assert list(DurationBatches(durations, 40.0, seed=4)) != first
    sampler.set_epoch(1)
    assert list(sampler) == first


def test_epochs_have_other_batches_and_as_many():
    durations = drawn(400)
    sampler = DurationBatches(durations, 60.0, seed=3)
    counts, met = set(), []
    for epoch in (1, 2, 3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        counts.add((len(sampler), len(batches), sampler.updates))
        met.append({frozenset(batch) for batch in batches})
        lengths = [durations[batch[0]] for batch in batches]
        assert lengths != sorted(lengths) and lengths != sorted(lengths)[::-1]
    assert len(counts) == 1
    assert len(met[0] & met[1]) < len(met[0]) / 4


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_weights_make_the_mean_over_the_update(processes, accumulation, dealt):
    durations = drawn(90)
    samplers = dealt(durations, 40.0, processes, accumulation=accumulation)
    losses = [0.5 * clip * clip for clip in range(90)]
    steps = [list(sampler) for sampler in samplers]
    for update in range(samplers[0].updates):
        clips, got = [], 0.0
        for step in range(update * accumulation, (update + 1) * accumulation):
            for sampler, own in zip(samplers, steps):
                count, weight = sampler.loss_weight(step + 1)
                part = own[step][:count]
                clips += part
                got += weight * sum(losses[i] for i in part)
        expected = sum(losses[clip] for clip in clips) / len(clips)
        assert got / (processes * accumulation) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_impossible_lengths_are_refused(wrong):
    with pytest.raises(HparamsError, match="batch_seconds is"):
        DurationBatches([1.0], wrong, seed=0)
    with pytest.raises(HparamsError, match="a duration is"):
        DurationBatches([1.0, wrong], 10.0, seed=0)


def test_a_dataset_without_durations_is_refused():
    def train_batches(durations):
        return DurationBatches(durations, 10.0, seed=0)

    with pytest.raises(HparamsError, match="a duration is nan"):
        make_train_loader(None, range(3), train_batches, {})
