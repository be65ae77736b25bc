"""The corrected resampled t-test, against others' code and simulations."""

import numpy as np
import pytest
from scipy import stats

from petl_modules.comparison import corrected_t, verdict

DIFFERENCES = np.array(
    [
        *(0.012, -0.004, 0.031, 0.018, 0.007, 0.022, -0.011, 0.015, 0.026),
        *(0.003, 0.009, 0.034, -0.002, 0.017, 0.021),
    ]
)
# p_worse, p_equal and p_better by baycomp 1.0.3, of the first n differences in
# so many runs: x = numpy.full(n, 0.8);
# baycomp.two_on_single(x, x + DIFFERENCES[:n], rope=margin, runs=runs).
# The package installs a folder "tests" beside itself, which would hide ours
THEIRS = {
    (15, 1, 0.01): (0.0001407628, 0.2591138308, 0.7407454064),
    (15, 1, 0.002): (0.0035733282, 0.0144681484, 0.9819585234),
    (15, 3, 0.01): (0.0034003192, 0.3308498675, 0.6657498132),
    (15, 3, 0.002): (0.0283140936, 0.0457269682, 0.9259589382),
    (5, 1, 0.01): (0.0294984821, 0.3525152727, 0.6179862452),
    (5, 1, 0.002): (0.0823098446, 0.0591404288, 0.8585497266),
}


def test_without_correction_it_is_the_paired_t_test():
    judged = corrected_t(DIFFERENCES, ratio=0, margin=0.01)
    theirs = stats.ttest_1samp(DIFFERENCES, 0)
    assert judged.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    low, high = theirs.confidence_interval(0.95)
    assert (judged.low, judged.high) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize("n, runs, margin", THEIRS)
def test_probabilities_are_those_of_baycomp(n, runs, margin):
    """It takes the folds of a run: one of them tests, all others train."""
    judged = corrected_t(DIFFERENCES[:n], 1 / (n / runs - 1), margin)
    ours = (judged.p_worse, judged.p_equal, judged.p_better)
    assert ours == pytest.approx(THEIRS[n, runs, margin], abs=1e-9)


def test_closed_form():
    """Two differences of 1 and 3: mean 2, variance 2, one degree of freedom."""
    judged = corrected_t([1, 3], ratio=0.5, margin=0)
    assert judged.mean == 2
    # 97.5 % of a Cauchy distribution is at tan(0.475 pi); scale sqrt(2)
    half = np.sqrt(2) * np.tan(0.475 * np.pi)
    assert judged.high - judged.mean == pytest.approx(half)
    chance = 0.5 + np.arctan(2 / np.sqrt(2)) / np.pi
    assert judged.p_better == pytest.approx(chance)


@pytest.mark.parametrize("few", [[], [0.1], [0.02, 0.02, 0.02]])
def test_nothing_is_said_of_too_few(few):
    assert corrected_t(few, 0.25, 0.01) is None


def test_probabilities_sum_to_one_and_turn_with_the_sign():
    one = corrected_t(DIFFERENCES, 0.25, 0.01)
    other = corrected_t(-DIFFERENCES, 0.25, 0.01)
    assert one.p_better + one.p_equal + one.p_worse == pytest.approx(1)
    assert one.p_better == pytest.approx(other.p_worse)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize(
    "low, high, said",
    [
        (0.011, 0.03, "better"),
        (-0.03, -0.011, "worse"),
        (-0.009, 0.01, "equal"),
        (0.001, 0.02, "cannot tell"),
        (-0.2, 0.2, "cannot tell"),
    ],
)
def test_verdict_needs_all_of_the_interval(low, high, said):
    assert verdict(low, high, 0.01) == said


FOLDS = 5
WIDTH = 8  # features of each method


def simulate(chance, repeats, seeds, clips=250, second=0.35):
    """Differences of two methods in cross-validation with several seeds.

    Each repeat draws a data set of two classes. One method sees the first half
    of its features, the other one the second half; both classify by the nearer
    mean of a class, in a sample of the training folds that a seed draws. With
    as far classes in both halves, no method is better, by symmetry; ``second``
    is how far they are in the second half. Three folds train, one tests.
    """
    found = np.empty((repeats, seeds * FOLDS))
    for repeat in range(repeats):
        label = chance.integers(0, 2, clips)
        side = np.repeat([0.35, second], WIDTH)
        x = chance.normal(size=(clips, 2 * WIDTH)) + np.outer(label, side)
        fold = chance.permutation(clips) % FOLDS
        for place in range(seeds * FOLDS):
            test = fold == place % FOLDS
            others = np.flatnonzero(~test & (fold != (place + 1) % FOLDS))
            drawn = chance.choice(others, len(others))
            means = [x[drawn[label[drawn] == k]].mean(0) for k in (0, 1)]
            far = [((x[test] - mean) ** 2) for mean in means]
            nearer = (far[0] - far[1]).reshape(-1, 2, WIDTH).sum(2) > 0
            right = (nearer == label[test, None].astype(bool)).mean(0)
            found[repeat, place] = right[0] - right[1]
    return found


def alarms(differences, margin, ratio=1 / 3):
    """Shares of intervals without zero, and of verdicts that tell a winner."""
    judged = [corrected_t(row, ratio, margin) for row in differences]
    zero = [one is not None and not one.low <= 0 <= one.high for one in judged]
    told = [
        one is not None
        and verdict(one.low, one.high, margin) in ("better", "worse")
        for one in judged
    ]
    return np.mean(zero), np.mean(told)


@pytest.fixture(scope="module")
def no_difference():
    """300 data sets of 5 folds, by number of seeds."""
    return {n: simulate(np.random.default_rng(n), 300, n) for n in (1, 3)}


@pytest.mark.parametrize("seeds", [1, 3])
def test_false_alarms_are_rare(no_difference, seeds):
    """4,000 data sets give 2 % (below); these give 2 % and 5 %."""
    without_zero, told = alarms(no_difference[seeds], margin=0.01)
    assert without_zero <= 0.06 and told <= 0.04
    assert alarms(no_difference[seeds], margin=0.0)[1] == without_zero


def test_plain_t_test_alarms_more_often(no_difference):
    """What the correction is for: repeats of one data set are no evidence."""
    assert alarms(no_difference[3], 0.01, ratio=0)[0] > 0.2


def test_a_true_difference_is_told():
    found = simulate(np.random.default_rng(6), 100, 3, second=0.0)
    assert alarms(found, margin=0.01)[1] > 0.5


def test_five_folds_of_one_seed_cannot_tell_one_point(no_difference):
    """Shifted by one point, equal methods are as good as never told apart."""
    assert alarms(no_difference[1] + 0.01, margin=0.0)[1] < 0.06


@pytest.mark.whole
def test_false_alarm_rates():
    """The rates of docs/comparing.md, which python -m pytest -s shows."""
    for seeds in (1, 3, 5):
        found = simulate(np.random.default_rng(10 + seeds), 4000, seeds)
        corrected = alarms(found, 0.01)
        plain = alarms(found, 0.01, ratio=0)
        print(f"{seeds} seeds: corrected {corrected}, plain {plain}")
        assert corrected[0] < 0.03 and corrected[1] < 0.02
        assert plain[0] > 3 * corrected[0]
