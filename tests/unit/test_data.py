"""Folds, and what is counted over a pass.

Authors
 * The PETL audio recipes team 2026
"""

import pytest
import torch

from petl_modules.data import split_by_fold
from petl_modules.tally import Tally

RECORDS = {f"{f}-{clip}": {"fold": f} for f in range(1, 6) for clip in "abc"}
# ESC-50's protocol: test k, validate k - 1, train on the others
PROTOCOL = {
    1: (5, {2, 3, 4}),
    2: (1, {3, 4, 5}),
    3: (2, {1, 4, 5}),
    4: (3, {1, 2, 5}),
    5: (4, {1, 2, 3}),
}


def folds_of(clips):
    return {record["fold"] for record in clips.values()}


@pytest.mark.parametrize("test", PROTOCOL)
def test_parts_are_those_of_the_protocol(test):
    parts = split_by_fold(RECORDS, test, n_folds=5, valid_offset=-1)
    valid, train = PROTOCOL[test]
    found = {part: folds_of(clips) for part, clips in parts.items()}
    assert found == {"train": train, "valid": {valid}, "test": {test}}


@pytest.mark.parametrize("test", PROTOCOL)
def test_parts_are_disjoint_and_complete(test):
    parts = split_by_fold(RECORDS, test, n_folds=5, valid_offset=-1)
    clips = [clip for part in parts.values() for clip in part]
    assert sorted(clips) == sorted(RECORDS)


def test_validation_fold_behind_the_test_fold():
    parts = split_by_fold(RECORDS, 5, n_folds=5, valid_offset=1)
    assert folds_of(parts["valid"]) == {1}


@pytest.mark.parametrize(
    ("missing", "words"),
    [({5}, "validation fold 5.*valid part"), ({1}, "test part")],
)
def test_an_empty_part_is_an_error(missing, words):
    some = {c: r for c, r in RECORDS.items() if r["fold"] not in missing}
    with pytest.raises(ValueError, match=words):
        split_by_fold(some, 1, n_folds=5, valid_offset=-1)


def test_every_clip_weighs_the_same():
    """Batches of 3 and 1 give the mean over 4 clips."""
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    tally = Tally(["cat", "dog"])
    for part in (slice(0, 3), slice(3, 4)):
        loss = torch.nn.functional.cross_entropy(logits[part], targets[part])
        tally.add("abcd"[part], logits[part], targets[part], loss)
    whole = torch.nn.functional.cross_entropy(logits, targets)
    right = (logits.argmax(1) == targets).float().mean()
    assert tally.result()["loss"] == pytest.approx(whole.item())
    assert tally.result()["accuracy"] == right.item()
    assert [row["id"] for row in tally.predictions()] == list("abcd")
