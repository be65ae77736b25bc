"""The order of an epoch, for any number of processes."""

from functools import partial

import pytest

from petl_modules.data import EpochBatches
from petl_modules.training import make_train_loader
from petl_modules.utils import HparamsError, counted_seed


def dealt(size, batch_size, processes, epoch=1, **changes):
    """The batches of each process."""
    samplers = []
    for rank in range(processes):
        sampler = EpochBatches([1.0] * size, batch_size, seed=10, **changes)
        sampler.rank, sampler.processes = rank, processes
        sampler.together = batch_size * processes
        sampler.set_epoch(epoch)
        samplers.append(sampler)
    return samplers, [list(sampler) for sampler in samplers]


SIZES = [(1, 4, 1), (12, 4, 1), (13, 4, 1), (12, 2, 2), (13, 2, 2), (9, 2, 4)]


@pytest.mark.parametrize(("size", "batch_size", "processes"), SIZES)
def test_every_clip_counts_once(size, batch_size, processes):
    samplers, batches = dealt(size, batch_size, processes)
    counted = []
    for sampler, own in zip(samplers, batches):
        assert len(own) == len(sampler) == len(batches[0])
        for step, batch in enumerate(own, 1):
            counted += batch[: sampler.loss_weight(step)[0]]
    assert sorted(counted) == list(range(size))


@pytest.mark.parametrize(("size", "batch_size", "processes"), SIZES)
def test_weights_make_the_mean_over_the_step(size, batch_size, processes):
    samplers, batches = dealt(size, batch_size, processes)
    losses = [0.5 * i * i for i in range(size)]
    alone = EpochBatches([1.0] * size, batch_size * processes, seed=10)
    for step, together in enumerate(alone, 1):
        shares = []
        for sampler, own in zip(samplers, batches):
            count, weight = sampler.loss_weight(step)
            part = own[step - 1][:count]
            shares.append(weight * sum(losses[i] for i in part))
        expected = sum(losses[i] for i in together) / len(together)
        assert sum(shares) / processes == pytest.approx(expected)


@pytest.mark.parametrize("size", [16, 14, 13])
def test_accumulated_steps_are_one_large_one(size):
    small = EpochBatches([1.0] * size, 4, seed=10, accumulation=2)
    losses = [0.5 * i * i for i in range(size)]
    large = EpochBatches([1.0] * size, 8, seed=10)
    parts = list(small)
    for update, together in enumerate(large):
        gathered = sum(
            small.loss_weight(step + 1)[1]
            * sum(losses[i] for i in parts[step])
            / 2
            for step in (2 * update, 2 * update + 1)
        )
        expected = sum(losses[i] for i in together) / len(together)
        assert gathered == pytest.approx(expected)


def test_epochs_have_orders_of_their_own():
    orders = [dealt(20, 20, 1, epoch)[1][0][0] for epoch in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]


def test_seeds_differ_in_every_number():
    seeds = {
        counted_seed(10, e, s, r)
        for e in (1, 2)
        for s in (1, 2)
        for r in (0, 1)
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(("accumulation", "updates"), [(1, 4), (3, 1), (5, 0)])
def test_updates_of_an_epoch(accumulation, updates):
    sampler = EpochBatches([1.0] * 13, 4, seed=10, accumulation=accumulation)
    assert sampler.updates == updates


def test_an_epoch_without_an_update_is_refused():
    batches = partial(EpochBatches, batch_size=4, seed=10, accumulation=5)
    with pytest.raises(HparamsError, match="5 is larger than the 4 batches"):
        make_train_loader(None, range(13), batches, {})
