"""Losses are read some at a time, and each keeps its name."""

import pytest
import torch

from petl_modules.training import LossWatch


def test_nothing_is_read_between_two_looks():
    watch = LossWatch(patience=0, every=3)
    watch.add("step 1", ["a"], torch.tensor(float("nan")))
    watch.add("step 2", ["b"], torch.tensor(1.0))
    with pytest.raises(ValueError, match="the loss is nan in step 1; .*: a. "):
        watch.add("step 3", ["c"], torch.tensor(2.0))


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_the_clips_are_named(bad):
    watch = LossWatch(patience=0, every=1)
    watch.add("step 1", ["a"], torch.tensor(1.0))
    with pytest.raises(ValueError, match=f"is {bad} in step 2; .*: b, c. Try"):
        watch.add("step 2", ["b", "c"], torch.tensor(float(bad)))


def test_patience_is_that_of_an_epoch():
    watch = LossWatch(patience=1, every=1)
    for _ in range(2):
        watch.reset()
        watch.add("step 1", ["a"], torch.tensor(float("nan")))
        watch.add("step 2", ["a"], torch.tensor(3.0))
        assert watch.mean == 3.0
    with pytest.raises(ValueError, match="step 3"):
        watch.add("step 3", ["b"], torch.tensor(float("nan")))


def test_mean_of_all_looks():
    losses = torch.rand(10)
    watch = LossWatch(patience=0, every=3)
    for step, loss in enumerate(losses):
        watch.add(str(step), [], loss)
    watch.look()
    assert watch.mean == pytest.approx(losses.mean().item())
    watch.look()  # nothing new
    assert watch.mean == pytest.approx(losses.mean().item())
