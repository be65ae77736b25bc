"""Scores of trials against their definitions, one trial at a time."""

import numpy as np
import pytest

from petl_modules.utils import DataError
from petl_modules.verification import (
    as_norm,
    clip_vectors,
    score_trials,
    unit_vectors,
)

RNG = np.random.default_rng(0)
CLIPS = [f"clip{i}" for i in range(9)]
RAW = RNG.standard_normal((9, 5, 16))
FIRST, SECOND = RNG.integers(0, 9, (2, 40))


@pytest.fixture
def units():
    """Directions of the windows."""
    return unit_vectors(CLIPS, RAW)


def test_cosine_of_the_mean_directions(units):
    scores = score_trials(units, FIRST, SECOND)
    for score, one, other in zip(scores, FIRST, SECOND):
        means = [
            (RAW[clip] / np.linalg.norm(RAW[clip], axis=1)[:, None]).mean(0)
            for clip in (one, other)
        ]
        lengths = [np.linalg.norm(mean) for mean in means]
        expected = means[0] @ means[1] / lengths[0] / lengths[1]
        assert score == pytest.approx(expected, abs=1e-12)


def test_distance_of_all_pairs_of_windows(units):
    scores = score_trials(units, FIRST, SECOND, "segment_distance")
    for score, one, other in zip(scores, FIRST, SECOND):
        pairs = [(a, b) for a in units[one] for b in units[other]]
        expected = -np.mean([np.linalg.norm(a - b) for a, b in pairs])
        # The root of a rounding error where a window meets itself
        assert score == pytest.approx(expected, abs=1e-8)


def test_scores_are_symmetric_and_one_for_a_clip_with_itself(units):
    one, other = (
        score_trials(units, *sides)
        for sides in ((FIRST, SECOND), (SECOND, FIRST))
    )
    assert np.array_equal(one, other)
    itself = score_trials(units, np.arange(9), np.arange(9))
    assert itself == pytest.approx(np.ones(9), abs=1e-12)


def test_scores_do_not_depend_on_chunks(units, monkeypatch):
    whole = score_trials(units, FIRST, SECOND)
    monkeypatch.setattr("petl_modules.verification.scoring.AT_ONCE", 7)
    assert np.array_equal(score_trials(units, FIRST, SECOND), whole)


@pytest.mark.parametrize("top", [3, 300])
def test_score_normalisation_one_trial_at_a_time(units, top):
    vectors = clip_vectors(units)
    cohort = RNG.standard_normal((12, 16))
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    scores = score_trials(units, FIRST, SECOND)
    found = as_norm(scores, vectors, FIRST, SECOND, cohort, top)
    for value, score, *clips in zip(found, scores, FIRST, SECOND):
        sides = []
        for clip in clips:
            near = sorted(cohort @ vectors[clip])[-min(top, 12) :]
            sides.append((score - np.mean(near)) / np.std(near, ddof=1))
        assert value == pytest.approx(np.mean(sides), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_embedding_without_direction_is_named(value):
    raw = RAW.copy()
    raw[4, 2] = value
    with pytest.raises(DataError, match="(?s)of 1 clips.*clip4"):
        unit_vectors(CLIPS, raw)


def test_cohort_of_one_speaker_is_refused(units):
    with pytest.raises(DataError, match="fewer than two speakers"):
        as_norm(np.zeros(40), clip_vectors(units), FIRST, SECOND, units[0, :1])
