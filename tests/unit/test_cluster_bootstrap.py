"""The bootstrap over clusters and trainings, against other code."""

import numpy as np
import pytest
from scipy import stats

from petl_modules.comparison import bootstrap
from petl_modules.comparison.bootstrap import bootstrap_eer, bootstrap_shares
from petl_modules.verification import error_curve


def clips(chance, trainings, clusters, size):
    """Correct clips of two methods by cluster; all of a cluster are alike."""
    shape = (trainings, clusters)
    first, second = (size * (chance.random(shape) < p) for p in (0.8, 0.7))
    return first.astype(float), second.astype(float), np.full(shape, size)


def test_interval_is_that_of_scipy():
    """One training, of clips that stand alone: the ordinary bootstrap."""
    first, second, totals = clips(np.random.default_rng(1), 1, 400, 1)
    theirs = stats.bootstrap(
        ((first - second)[0],),
        np.mean,
        n_resamples=9999,
        method="percentile",
        random_state=np.random.default_rng(2),
    ).confidence_interval
    ours = bootstrap_shares(first, second, totals)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_words_are_weighted():
    """Closed form of a ratio of sums: a cluster counts by its words."""
    chance = np.random.default_rng(3)
    words = chance.integers(1, 40, (1, 500))
    first, second = chance.binomial(words, 0.3), chance.binomial(words, 0.2)
    gain = (first - second).sum() / words.sum()
    rest = (first - second - gain * words)[0]
    half = 1.96 * np.sqrt((rest**2).sum()) / words.sum()
    ours = bootstrap_shares(first, second, words)
    assert ours == pytest.approx((gain - half, gain + half), abs=0.004)


def test_clips_of_a_cluster_are_drawn_together():
    """As many clips, of a tenth of the speakers: three times as wide."""
    chance = np.random.default_rng(4)
    alone = bootstrap_shares(*clips(chance, 1, 1000, 1))
    together = bootstrap_shares(*clips(chance, 1, 100, 10))
    ratio = np.ptp(together) / np.ptp(alone)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.25)


def test_seeds_are_drawn():
    """Seeds that disagree widen the interval, on the same clips."""
    first = np.array([[1.0] * 50, [0.0] * 50, [0.5] * 50])
    totals = np.ones((3, 50))
    low, high = bootstrap_shares(first, np.zeros((3, 50)), totals)
    assert low < 0.2 and high > 0.8
    same = np.full((3, 50), 0.5)
    assert bootstrap_shares(same, same * 0, totals) == (0.5, 0.5)


def test_seed_that_lacks_a_fold():
    """What was not tested counts as neither right nor wrong."""
    first, totals = np.ones((2, 6)), np.ones((2, 6))
    first[1, 3:] = totals[1, 3:] = 0
    ours = bootstrap_shares(first, np.zeros((2, 6)), totals)
    assert ours == (1.0, 1.0)


@pytest.fixture
def trials():
    """Scores of two methods, of which the second has more errors."""
    chance = np.random.default_rng(5)
    one, other = chance.integers(0, 30, (2, 600))
    other[:200] = one[:200]
    same = one == other
    scores = chance.normal(size=(2, 600)).round(1) + np.outer([2, 1], same)
    return scores, same, (one, other)


def test_eer_of_weights_is_that_of_repeated_trials(trials):
    scores, same, _ = trials
    weights = np.random.default_rng(6).integers(0, 4, 600)
    expected, _ = error_curve(
        np.repeat(scores[0], weights), np.repeat(same, weights)
    ).eer()
    rows = np.stack([np.ones(600), weights])
    found = bootstrap._eers(rows, same, *bootstrap._order(scores[0]))
    assert found[1] == pytest.approx(expected, abs=1e-12)
    assert found[0] == pytest.approx(error_curve(scores[0], same).eer()[0])


def test_interval_of_error_rates(trials):
    """Around the difference, and zero for a method and itself."""
    (first, second), same, sides = trials
    low, high = bootstrap_eer([first], [second], same, sides)
    rates = [error_curve(s, same).eer()[0] for s in (first, second)]
    assert low < rates[0] - rates[1] < high < 0
    assert bootstrap_eer([first], [first], same, sides) == (0, 0)


def test_interval_of_error_rates_is_that_of_drawn_speakers(trials):
    """Speakers drawn one by one; a trial counts for each pair of theirs."""
    scores, same, (one, other) = trials
    chance, found = np.random.default_rng(8), []
    for _ in range(400):
        drawn = np.bincount(chance.integers(0, 30, 30), minlength=30)
        counts = [
            drawn[a] if a == b else drawn[a] * drawn[b]
            for a, b in zip(one, other)
        ]
        rates = [
            error_curve(np.repeat(s, counts), np.repeat(same, counts)).eer()[0]
            for s in scores
        ]
        found.append(rates[0] - rates[1])
    theirs = np.percentile(found, [2.5, 97.5])
    ours = bootstrap_eer([scores[0]], [scores[1]], same, (one, other))
    assert ours == pytest.approx(theirs, abs=0.1 * np.ptp(theirs))


def test_blocks_give_the_same(trials, monkeypatch):
    """Memory is bounded, whatever the number of trials."""
    (first, second), same, sides = trials
    whole = bootstrap_eer([first], [second], same, sides)
    monkeypatch.setattr(bootstrap, "BLOCK", 8 * 600 * 100)
    ours = bootstrap_eer([first], [second], same, sides)
    assert ours == pytest.approx(whole, abs=0.02)


def coverage(chance, repeats, by_speaker):
    """How often the interval has the true difference, which is 0."""
    hits = 0
    for _ in range(repeats):
        skill = chance.normal(0, 1, (2, 40, 1))  # of a method with a speaker
        right = chance.random((2, 40, 10)) < 1 / (1 + np.exp(-1 - skill))
        if by_speaker:
            first, second = right.sum(2)[:, None]
            totals = np.full((1, 40), 10)
        else:
            first, second = right.reshape(2, 1, 400)
            totals = np.ones((1, 400))
        low, high = bootstrap_shares(first * 1.0, second * 1.0, totals)
        hits += low <= 0 <= high
    return hits / repeats


def test_speakers_cover_what_clips_do_not():
    """1,000 repeats give 93 % by speaker, 80 % by clip (below)."""
    by_speaker, by_clip = (
        coverage(np.random.default_rng(7), 40, kind) for kind in (True, False)
    )
    assert by_speaker > 0.87 and by_clip < by_speaker


@pytest.mark.whole
def test_coverage():
    """The rates of docs/comparing.md, which python -m pytest -s shows."""
    by_speaker, by_clip = (
        coverage(np.random.default_rng(8), 1000, kind) for kind in (True, False)
    )
    print(f"coverage: by speaker {by_speaker}, by clip {by_clip}")
    assert by_speaker > 0.91 and by_clip < 0.88
