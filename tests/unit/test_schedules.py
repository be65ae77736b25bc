"""Learning rates by update."""

import math

import pytest
import torch

from petl_modules.training import warm_cosine
from petl_modules.utils import HparamsError


def rates(total, **options):
    """The rates of all updates, of a largest one of 2."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    schedule = warm_cosine(optimizer, T_max=total, **options)
    found = []
    for _ in range(total):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found, schedule.get_last_lr()[0]


def test_without_a_rise_it_is_the_cosine_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    expected = []
    for _ in range(20):
        expected.append(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()
    found, last = rates(20, warm_up=0)
    assert found == pytest.approx(expected, abs=1e-12)
    assert last == pytest.approx(0, abs=1e-12)


def test_it_rises_linearly_then_falls():
    found, last = rates(100, warm_up=0.1)
    assert found[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert found[10:] == pytest.approx(
        [1 + math.cos(math.pi * i / 90) for i in range(90)]
    )
    assert last == pytest.approx(0, abs=1e-12)


def test_every_rate_is_above_zero():
    for total in (1, 2, 3, 11):
        assert min(rates(total, warm_up=0.5)[0]) > 0


def test_it_resumes():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    one = warm_cosine(optimizer, T_max=10, warm_up=0.3)
    for _ in range(4):
        optimizer.step()
        one.step()
    other = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    two = warm_cosine(other, T_max=10, warm_up=0.3)
    other.load_state_dict(optimizer.state_dict())
    two.load_state_dict(one.state_dict())
    for schedule, its in ((one, optimizer), (two, other)):
        its.step()
        schedule.step()
    assert one.get_last_lr() == two.get_last_lr() != [0.0]


@pytest.mark.parametrize("warm_up", [-0.1, 1.0])
def test_no_share(warm_up):
    with pytest.raises(HparamsError, match=f"warm_up is {warm_up}"):
        rates(4, warm_up=warm_up)
