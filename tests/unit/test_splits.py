"""Folds, lists, sessions, few-shot draws, and the plan of a run."""

import random

import pytest

from petl_modules.data import (
    AsListed,
    Folds,
    Lists,
    Sessions,
    SomeHours,
    draw_few,
)
from petl_modules.runs import plan_folds
from petl_modules.utils import HparamsError

RECORDS = {
    f"{f}-{clip}": {"fold": f, "label": clip}
    for f in range(1, 6)
    for clip in "abc"
}
# ESC-50's protocol: test k, validate k - 1, train on the others
ESC50 = {
    1: (5, {2, 3, 4}),
    2: (1, {3, 4, 5}),
    3: (2, {1, 4, 5}),
    4: (3, {1, 2, 5}),
    5: (4, {1, 2, 3}),
}
SPEAKERS = {
    f"Ses0{k}{sex}-{i}": {
        "session": k,
        "speaker": f"Ses0{k}{sex}",
        "label": "neu",
    }
    for k in range(1, 6)
    for sex in "FM"
    for i in range(2)
}
LISTED = {
    f"{split}{i}": {"split": split, "label": "ab"[i % 2]}
    for split in ("train", "valid", "test")
    for i in range(8)
}


def make_plan(records, split, folds=(), **changes):
    settings = {
        "fixed_epochs": False,
        "few_shot": 0,
        "few_shot_draws": 1,
        "seed": 10,
        **changes,
    }
    return plan_folds(records, split, list(folds), **settings)


def values(clips, key):
    return {record[key] for record in clips.values()}


@pytest.mark.parametrize("test", ESC50)
def test_parts_are_those_of_esc50(test):
    parts = Folds(n_folds=5, valid_offset=-1)(RECORDS)[0][test]
    valid, train = ESC50[test]
    found = {part: values(clips, "fold") for part, clips in parts.items()}
    assert found == {"train": train, "valid": {valid}, "test": {test}}


@pytest.mark.parametrize("test", range(1, 11))
def test_parts_are_those_of_urbansound8k(test):
    records = {str(fold): {"fold": fold} for fold in range(1, 11)}
    parts = Folds(n_folds=10, valid_offset=1)(records)[0][test]
    valid = 1 if test == 10 else test + 1
    assert values(parts["test"], "fold") == {test}
    assert values(parts["valid"], "fold") == {valid}
    assert values(parts["train"], "fold") == {*range(1, 11)} - {test, valid}


@pytest.mark.parametrize(
    ("records", "split"),
    [
        (RECORDS, Folds(n_folds=5, valid_offset=-1)),
        (LISTED, Lists()),
        (SPEAKERS, Sessions("speakers", sessions=5)),
        (SPEAKERS, Sessions("sessions", sessions=5)),
    ],
)
@pytest.mark.parametrize("fixed_epochs", [False, True])
def test_parts_are_disjoint_and_complete(records, split, fixed_epochs):
    for fold in make_plan(records, split, fixed_epochs=fixed_epochs).folds:
        clips = [clip for part in fold.parts.values() for clip in part]
        assert sorted(clips) == sorted(records)
        assert ("valid" in fold.parts) != fixed_epochs


def test_every_clip_is_tested_once():
    for split in ("speakers", "sessions"):
        folds = make_plan(SPEAKERS, Sessions(split, sessions=5)).folds
        tested = [clip for fold in folds for clip in fold.parts["test"]]
        assert sorted(tested) == sorted(SPEAKERS)


@pytest.mark.parametrize(
    ("fold", "test", "valid"),
    [
        (1, "Ses01F", "Ses01M"),
        (2, "Ses01M", "Ses01F"),
        (10, "Ses05M", "Ses05F"),
    ],
)
def test_a_speaker_tests_and_the_other_validates(fold, test, valid):
    parts = Sessions("speakers", sessions=5)(SPEAKERS)[0][fold]
    assert values(parts["test"], "speaker") == {test}
    assert values(parts["valid"], "speaker") == {valid}
    assert len(values(parts["train"], "session")) == 4


def test_sessions_test_and_validate():
    parts = Sessions("sessions", sessions=5)(SPEAKERS)[0][5]
    assert values(parts["test"], "session") == {5}
    assert values(parts["valid"], "session") == {1}


def test_unknown_protocol():
    with pytest.raises(ValueError, match="protocol 'speaker' is none of"):
        Sessions("speaker", sessions=5)


def test_as_listed_takes_splits_or_folds():
    assert AsListed()(LISTED) == Lists()(LISTED)
    assert AsListed()(RECORDS) == Folds(n_folds=5, valid_offset=1)(RECORDS)


def test_fixed_epochs_are_told_in_the_protocol():
    split = Folds(n_folds=5, valid_offset=-1)
    told = make_plan(RECORDS, split, fixed_epochs=True).protocol
    assert "fixed epochs" in told and "last epoch" in told


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (
            {5},
            "fold 1 has no clip left for: valid.*folds 1, 2, 3, 4: .*--fixed_epochs",
        ),
        ({1}, "left for: test.*--folds$"),
    ],
)
def test_an_empty_part_is_an_error(missing, words):
    some = {c: r for c, r in RECORDS.items() if r["fold"] not in missing}
    with pytest.raises(ValueError, match=words):
        make_plan(some, Folds(n_folds=5, valid_offset=-1), [1])


def test_another_folds_empty_part_is_none():
    some = {c: r for c, r in RECORDS.items() if r["fold"] != 3}
    folds = make_plan(some, Folds(n_folds=5, valid_offset=-1), [1, 2]).folds
    assert [fold.number for fold in folds] == [1, 2]


@pytest.mark.parametrize("fold", [0, 6, 1.0, True, "1"])
def test_a_fold_that_is_not_there(fold):
    with pytest.raises(ValueError, match=f"no fold {fold}.*1 to 5"):
        make_plan(RECORDS, Folds(n_folds=5, valid_offset=-1), [fold])


def test_a_fold_twice():
    with pytest.raises(ValueError, match="name each once"):
        make_plan(RECORDS, Folds(n_folds=5, valid_offset=-1), [2, 2])


# Few-shot


CLIPS = {f"clip{i}": {"label": "abcd"[i % 4]} for i in range(80)}


@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_draw_has_so_many_of_each_class(count):
    drawn = draw_few(CLIPS, count, 10, 1)
    labels = [record["label"] for record in drawn.values()]
    assert {label: labels.count(label) for label in "abcd"} == dict.fromkeys(
        "abcd", count
    )


def test_a_draw_depends_on_seed_and_number_alone():
    shuffled = list(CLIPS.items())
    random.Random(0).shuffle(shuffled)
    first = set(draw_few(CLIPS, 5, 10, 1))
    assert set(draw_few(dict(shuffled), 5, 10, 1)) == first
    assert set(draw_few(CLIPS, 5, 11, 1)) != first
    assert set(draw_few(CLIPS, 5, 10, 2)) != first


def test_a_small_draw_is_part_of_a_large_one():
    small, large = (draw_few(CLIPS, n, 10, 1) for n in (2, 8))
    assert small.keys() < large.keys()


def test_draws_are_fair():
    """Over many draws each clip of a class comes up about as often."""
    seen = dict.fromkeys(CLIPS, 0)
    for draw in range(1, 401):
        for clip in draw_few(CLIPS, 5, 10, draw):
            seen[clip] += 1
    # binomial(400, 1/4): mean 100, standard deviation 8.7
    assert min(seen.values()) > 60 and max(seen.values()) < 140


def test_a_class_with_too_few_clips():
    with pytest.raises(ValueError, match="few_shot is 21.*a: 20, b: 20"):
        draw_few(CLIPS, 21, 10, 1)


def test_few_shot_needs_labels():
    with pytest.raises(
        HparamsError, match="clip1 has no label. Leave few_shot at 0"
    ):
        draw_few({"clip1": {"words": "on"}}, 2, 10)


def test_draws_take_clips_of_the_training_part_alone():
    made = make_plan(LISTED, Lists(), few_shot=2, few_shot_draws=3)
    assert [(f.number, f.draw, f.name) for f in made.folds] == [
        (1, 1, "fold1"),
        (1, 2, "fold1-draw2"),
        (1, 3, "fold1-draw3"),
    ]
    for fold in made.folds:
        assert len(fold.parts["train"]) == 4
        assert values(fold.parts["train"], "split") == {"train"}
        assert len(fold.parts["valid"]) == len(fold.parts["test"]) == 8
    assert "few-shot: 2 a class, draws: 3" in made.protocol


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"few_shot_draws": 2}, "needs --few_shot"),
    ],
)
def test_few_shot_keys_that_make_no_sense(changes, words):
    with pytest.raises(ValueError, match=words):
        make_plan(LISTED, Lists(), **changes)


def test_few_shot_with_fixed_epochs_leaves_the_validation_part_out():
    made = make_plan(LISTED, Lists(), few_shot=2, fixed_epochs=True)
    (fold,) = made.folds
    assert values(fold.parts["train"], "split") == {"train"}
    assert "validation part not used" in made.protocol


SPOKEN = {
    f"{part}{speaker}-{i}": {
        "split": part,
        "speaker": f"{part}{speaker}",
        "duration": 360.0 * (1 + i),
    }
    for part in ("train", "valid", "test")
    for speaker in range(5)
    for i in range(2)
}


@pytest.mark.parametrize(
    "hours, speakers", [(0.1, 1), (0.3, 1), (0.4, 2), (9, 5)]
)
def test_some_hours_are_of_whole_speakers(hours, speakers):
    """Each has 0.3 hours; a smaller draw is part of a larger one."""
    draws = []
    for limit in (hours, 9):
        made = make_plan(SPOKEN, SomeHours(Lists(), limit, seed=3))
        (fold,) = made.folds
        draws.append(fold.parts["train"])
        assert len(fold.parts["valid"]) == len(fold.parts["test"]) == 10
    assert len(values(draws[0], "speaker")) == speakers
    assert len(draws[0]) == 2 * speakers and {*draws[0]} <= {*draws[1]}
    others = make_plan(SPOKEN, SomeHours(Lists(), hours, seed=4)).folds
    drawn = values(others[0].parts["train"], "speaker")
    assert len(drawn) == speakers


@pytest.mark.parametrize("hours", [0, -1, "ten", True, float("nan")])
def test_hours_must_be_a_number_above_0(hours):
    with pytest.raises(HparamsError, match="train_hours is .*above 0"):
        SomeHours(Lists(), hours, seed=3)


def test_more_hours_than_there_are_is_told(caplog):
    make_plan(SPOKEN, SomeHours(Lists(), 1.4, seed=3))  # of 1.5
    assert not caplog.text
    make_plan(SPOKEN, SomeHours(Lists(), 9, seed=3))
    assert "train_hours is 9, and the training part has 1.50 h" in caplog.text


def test_all_hours_are_the_split():
    made = make_plan(SPOKEN, SomeHours(Lists(), None, seed=3))
    assert made == make_plan(SPOKEN, Lists())


@pytest.mark.parametrize("fixed_epochs", [False, True])
def test_long_clips_are_listed_and_not_trained_on(fixed_epochs, caplog):
    changes = {"longest": 400.0, "fixed_epochs": fixed_epochs}
    (fold,) = make_plan(SPOKEN, Lists(), **changes).folds
    assert values(fold.parts["train"], "duration") == {360.0}
    assert values(fold.parts["test"], "duration") == {360.0, 720.0}
    assert "train4-1" in caplog.text and "train4-0" not in caplog.text
    assert ("valid4-1" in caplog.text) == fixed_epochs


def test_no_clip_is_short_enough():
    with pytest.raises(HparamsError, match="longest is 1 s.*10.*has 360.00 s"):
        make_plan(SPOKEN, Lists(), longest=1)


def test_folds_are_drawn_apart():
    records = {
        f"{f}-{i}": {"fold": f, "label": "a"}
        for f in (1, 2, 3)
        for i in range(50)
    }
    folds = make_plan(records, Folds(n_folds=3, valid_offset=1), few_shot=5)
    # folds 1 and 2 share no training fold, folds 3 and 1 neither: by clip
    names = [{c[2:] for c in fold.parts["train"]} for fold in folds.folds]
    assert names[0] != names[1] != names[2]


def test_classes_that_are_tested_untrained_are_told(caplog):
    records = dict(RECORDS)
    records["1-d"] = {"fold": 1, "label": "d"}
    make_plan(records, Folds(n_folds=5, valid_offset=-1), [1, 3])
    assert "fold 1 tests classes that it does not train: d" in caplog.text
    assert "fold 3" not in caplog.text


def results(*pairs):
    return [{"fold": {"fold": f, "draw": d}, "n": f"{f}{d}"} for f, d in pairs]


@pytest.mark.parametrize(
    ("draws", "done", "expected"),
    [
        (1, [(2, 1), (1, 1)], ["11", "21"]),
        (1, [(1, 1), (1, 2), (2, 1)], ["11", "21"]),
        (2, [(1, 1), (2, 1), (2, 2)], ["21", "22"]),
        (2, [(10, 2), (10, 1), (9, 1), (9, 2)], ["91", "101", "92", "102"]),
    ],
)
def test_folds_with_every_draw_are_complete(draws, done, expected):
    planned = make_plan(LISTED, Lists(), few_shot=1, few_shot_draws=draws)
    found = planned.complete(results(*done))
    assert [result["n"] for result in found] == expected


@pytest.mark.parametrize(
    ("split", "key"),
    [
        (Lists(), "split"),
        (Folds(5), "fold"),
        (AsListed(), "fold"),
        (Sessions("speakers", sessions=5), "session"),
        (Sessions("sessions", sessions=5), "session"),
    ],
)
def test_record_without_what_the_split_reads_is_named(split, key):
    records = {"x": {"speaker": "F", key: 1}, "y": {"speaker": "F"}}
    words = f"the {key} of each clip, and y has none"
    with pytest.raises(HparamsError, match=words):
        split(records)
