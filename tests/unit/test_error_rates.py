"""Equal error rate and detection cost against closed forms and definitions."""

import tracemalloc
from statistics import NormalDist

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from petl_modules.utils import DataError
from petl_modules.verification import (
    angular_margin_loss,
    error_curve,
    rates_at,
    write_error_curve,
)

NORMAL = NormalDist()


def curve_of(targets, others):
    scores = np.concatenate([targets, others])
    return error_curve(scores, np.arange(len(scores)) < len(targets))


def quantiles(mean, count=2000):
    """The quantiles of a normal distribution of variance 1."""
    places = (np.arange(count) + 0.5) / count
    return mean + np.array([NORMAL.inv_cdf(place) for place in places])


# From targets and non-targets to equal error rate and minimum cost
TABLE = {
    "apart": ([0.6, 0.7, 0.8, 0.5], [0.4, 0.3, 0.2, 0.1], 0, 0),
    "the wrong way round": ([0.1, 0.2], [0.8, 0.9], 1, 1),
    "all equal": ([1, 1, 1], [1, 1], 0.5, 1),
    "a vertex": ([0.9, 0.8, 0.3], [0.7, 0.2, 0.1], 1 / 3, 1 / 3),
    "between vertices": ([3, 1], [2, 0, 0], 1 / 3, 0.5),
    "ties": ([2, 1, 1, 0], [1, 1, 0, 0], 0.375, 0.75),
}


@pytest.mark.parametrize("name", TABLE)
def test_closed_form(name):
    targets, others, eer, cost = TABLE[name]
    curve = curve_of(targets, others)
    assert curve.eer()[0] == pytest.approx(eer, abs=1e-12)
    assert curve.min_dcf() == pytest.approx(cost, abs=1e-12)


def test_normal_distributions():
    """EER = Phi(-d / 2); the cost is least at d / 2 + ln(99) / d."""
    curve = curve_of(quantiles(2), quantiles(0))
    assert curve.eer()[0] == pytest.approx(NORMAL.cdf(-1), abs=2e-4)
    many = curve_of(quantiles(2, 200_000), quantiles(0, 200_000))
    best = 1 + np.log(99) / 2
    cost = 0.01 * NORMAL.cdf(best - 2) + 0.99 * NORMAL.cdf(-best)
    assert many.min_dcf() == pytest.approx(cost / 0.01, abs=5e-4)


@pytest.fixture(scope="module")
def trials():
    """Scores with ties, and whether they are targets."""
    rng = np.random.default_rng(0)
    same = rng.random(3000) < 0.3
    return np.round(rng.standard_normal(3000) + same, 2), same


@pytest.mark.parametrize("change", [np.exp, np.arctan, lambda x: 3 * x - 7])
def test_rates_do_not_change_under_increasing_maps(trials, change):
    scores, same = trials
    one, other = error_curve(scores, same), error_curve(change(scores), same)
    assert one.eer()[0] == other.eer()[0]
    assert one.min_dcf() == other.min_dcf()
    assert other.eer()[1] == pytest.approx(change(np.array(one.eer()[1])))


def test_negative_scores_with_swapped_labels(trials):
    scores, same = trials
    rate = error_curve(scores, same).eer()[0]
    assert error_curve(-scores, ~same).eer()[0] == pytest.approx(
        rate, abs=1e-12
    )


def test_order_of_trials_does_not_matter(trials):
    scores, same = trials
    order = np.random.default_rng(1).permutation(len(scores))
    for one, other in zip(
        error_curve(scores, same), error_curve(scores[order], same[order])
    ):
        assert np.array_equal(one, other)


def test_labels_by_chance_give_one_half(trials):
    scores, same = trials
    shuffled = np.random.default_rng(2).permutation(same)
    assert error_curve(scores, shuffled).eer()[0] == pytest.approx(
        0.5, abs=0.04
    )


def test_curve_is_that_of_its_definition(trials):
    scores, same = trials
    curve = error_curve(scores, same)
    for place in (0, 1, 100, len(curve.thresholds) - 1):
        threshold = curve.thresholds[place]
        expected = (scores[~same] >= threshold).mean()
        assert curve.false_accepts[place] == pytest.approx(expected)
        expected = (scores[same] < threshold).mean()
        assert curve.false_rejects[place] == pytest.approx(expected)
        rates = curve.false_accepts[place], curve.false_rejects[place]
        assert rates_at(threshold, scores, same) == pytest.approx(rates)


def test_no_array_grows_as_trials_times_thresholds():
    """The memory is that of some values for each trial."""
    count = 20_000
    scores, same = np.arange(count) * 0.5, np.arange(count) % 2
    tracemalloc.start()
    curve = error_curve(scores, same)
    curve.eer(), curve.min_dcf()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {part.shape for part in curve} == {(count + 1,)}
    assert peak < 200 * count  # a byte for each pair would be count ** 2


@pytest.mark.parametrize(
    "scores, same, words",
    [
        ([1.0, np.nan], [1, 0], "1 of 2 scores are not finite"),
        ([1.0, 2.0], [1, 1], "of 2 trials 2 are of one speaker"),
        ([1.0, 2.0], [0, 0], "of 2 trials 0 are of one speaker"),
        ([], [], "of 0 trials 0"),
    ],
)
def test_scores_without_rates_are_refused(scores, same, words):
    with pytest.raises(DataError, match=words):
        error_curve(scores, same)


def test_margin_beyond_a_half_turn():
    """The branch that keeps the loss monotonic, in closed form."""
    cosines = torch.tensor([[-0.99, 0.1, -0.2]], dtype=torch.float64)
    loss = angular_margin_loss(cosines, torch.tensor([0]))
    assert loss.item() == pytest.approx(33.892139, rel=1e-6)
    target = 30 * (-0.99 - 0.2 * np.sin(0.2))
    assert target == pytest.approx(-30.892016, rel=1e-7)


def test_margin_of_zero_is_cross_entropy_of_scaled_cosines():
    cosines = torch.rand(5, 7) * 1.8 - 0.9
    targets = torch.arange(5)
    expected = torch.nn.functional.cross_entropy(
        30 * cosines, targets, reduction="none"
    )
    losses = angular_margin_loss(
        cosines.unsqueeze(1), targets, margin=0.0, reduction="none"
    )
    torch.testing.assert_close(losses, expected)


def test_figure_shows_the_threshold_that_decides(tmp_path):
    rows = [
        {"same": same, "score": score, "threshold": 0.0}
        for same, score in [(1, 0.9), (1, -0.2), (0, 0.1), (0, -0.8)]
    ]
    saved = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda *a, **options: saved.append(a))
        write_error_curve(tmp_path, rows)
        [(figure, file)] = saved
        left, right = figure.axes
    assert file == tmp_path / "trials.png"
    lines = {line.get_label(): line for line in left.lines}
    assert lines["threshold that decides: 0.000"].get_xdata()[0] == 0.0
    point = right.lines[-1]  # one of two of each kind is on the wrong side
    assert (point.get_xdata(), point.get_ydata()) == ([0.5], [0.5])
