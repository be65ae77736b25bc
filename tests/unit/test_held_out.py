"""Parts with different speakers."""

import random

import pytest

from petl_modules.data import PARTS, HeldOutSpeakers
from petl_modules.utils import DataError, HparamsError
from petl_modules.verification import draw_trials


def corpus(train, test=0, clips=3):
    """Clips of training speakers and of listed test speakers."""
    return {
        f"id{number:05}/video/{clip}": {
            "speaker": f"id{number:05}",
            "split": "train" if number < train else "test",
        }
        for number in range(train + test)
        for clip in range(clips)
    }


def speakers(parts):
    return {
        part: {record["speaker"] for record in parts[part].values()}
        for part in PARTS
    }


def test_parts_of_voxceleb1():
    records = corpus(1211, 40, clips=2)
    folds, protocol = HeldOutSpeakers(40, seed=10)(records)
    found = speakers(folds[1])
    assert [len(found[part]) for part in PARTS] == [1171, 40, 40]
    assert found["test"] == {f"id{n:05}" for n in range(1211, 1251)}
    assert sum(map(len, folds[1].values())) == len(records)
    assert protocol == (
        "held-out speakers: test 40 as listed, validation 40 of 1211 drawn by "
        "seed 10, train 1171"
    )


def test_named_speakers_validate_whatever_the_seed():
    names = ["id00002", "id00007"]
    for seed in range(5):
        folds, protocol = HeldOutSpeakers(names, seed)(corpus(9, 2))
        found = speakers(folds[1])
        assert found["valid"] == {*names} and len(found["train"]) == 7
    assert protocol == (
        "held-out speakers: test 2 as listed, validation 2 as named, train 7"
    )


def test_named_speakers_are_not_drawn_for_the_test():
    names = ["id00000", "id00003"]
    for seed in range(20):
        drawn = HeldOutSpeakers(names, seed, test_speakers=3)
        folds, protocol = drawn(corpus(7))
        found = speakers(folds[1])
        assert found["valid"] == {*names}
        assert [len(found[part]) for part in PARTS] == [2, 2, 3]
    assert protocol == (
        "held-out speakers: validation 2 as named, test 3 of 7 drawn by seed "
        "19, train 2"
    )


def test_names_of_no_training_speakers():
    names = ["id00000", "id00006", "eve"]
    with pytest.raises(DataError) as error:
        HeldOutSpeakers(names, 1)(corpus(6, 2))
    text = str(error.value)
    assert "valid_speakers names 2 that are no speakers outside" in text
    assert "Correct the names:\n  eve\n  id00006\nThere are:\n  id0" in text


@pytest.mark.parametrize("value", ["eve", True, 2.5, None])
def test_neither_number_nor_names(value):
    with pytest.raises(HparamsError, match="a number of speakers, or a list"):
        HeldOutSpeakers(value, 1)


def test_one_name_is_too_few_to_validate():
    with pytest.raises(HparamsError, match="valid_speakers is 1: trials"):
        HeldOutSpeakers(["eve", "eve"], 1)


def test_no_speaker_is_in_two_parts():
    for seed in range(20):
        folds, _ = HeldOutSpeakers(3, seed, test_speakers=4)(corpus(12))
        found = speakers(folds[1])
        assert [len(found[part]) for part in PARTS] == [5, 3, 4]
        assert len(set.union(*found.values())) == 12


def test_parts_depend_on_seed_and_names_alone():
    records = corpus(30)
    names = [*records]
    random.Random(1).shuffle(names)
    shuffled = {name: {"speaker": name.split("/")[0]} for name in names[5:]}
    first, other, third = (
        speakers(HeldOutSpeakers(5, seed, test_speakers=5)(r)[0][1])
        for r, seed in ((records, 1), (shuffled, 1), (records, 2))
    )
    assert first == other
    assert third["valid"] != first["valid"] and third["test"] != first["test"]


def test_smaller_draw_is_part_of_a_larger_one():
    draws = [
        speakers(HeldOutSpeakers(n, 1)(corpus(30, 2))[0][1])["valid"]
        for n in range(2, 20)
    ]
    assert all(few < more for few, more in zip(draws, draws[1:]))


def test_each_speaker_validates_at_some_seed():
    drawn = [
        speakers(HeldOutSpeakers(2, seed)(corpus(8, 2))[0][1])["valid"]
        for seed in range(200)
    ]
    counts = [
        sum(f"id{number:05}" in valid for valid in drawn) for number in range(8)
    ]
    assert min(counts) > 25 and max(counts) < 75  # 50 is the mean


def test_smallest_parts_have_trials():
    folds, _ = HeldOutSpeakers(2, 1)(corpus(4, 2))
    for part in PARTS:
        assert {*draw_trials(folds[1][part], 1).same.tolist()} == {True, False}


@pytest.mark.parametrize("number", [1, 0, -3])
def test_too_few_to_validate(number):
    with pytest.raises(HparamsError, match=f"valid_speakers is {number}: tri"):
        HeldOutSpeakers(number, 1)


@pytest.mark.parametrize("number", [1, -3])
def test_too_few_to_test(number):
    with pytest.raises(HparamsError, match=f"test_speakers is {number}: trial"):
        HeldOutSpeakers(2, 1, test_speakers=number)


@pytest.mark.parametrize(
    ("records", "options", "expected"),
    [
        (corpus(5), {}, "no clip is in the test part: give --test_speakers"),
        (corpus(5, 1), {}, "the test part has 1 speaker: trials of two"),
        (
            corpus(3, 2),
            {},
            "3 speakers are not listed for testing, and valid_speakers 2 leave "
            "1 to train on, not 2 at least",
        ),
        (
            corpus(3),
            {"test_speakers": 2},
            "valid_speakers 2 and test_speakers 2 leave 0 to train on",
        ),
        ({"a/1": {}}, {}, "a/1 has no speaker"),
    ],
)
def test_parts_that_are_not_possible(records, options, expected):
    with pytest.raises(DataError, match=expected):
        HeldOutSpeakers(2, 1, **options)(records)


def test_speaker_in_training_and_test_part_is_refused():
    records = corpus(5, 2)
    records["id00006/other/0"] = {"speaker": "id00006", "split": "train"}
    with pytest.raises(DataError) as error:
        HeldOutSpeakers(2, 1)(records)
    assert "1 speakers are in the training and the test part:\n  id00006: " in (
        str(error.value)
    )
    assert "id00006/video/0 tests, id00006/other/0 trains" in str(error.value)
