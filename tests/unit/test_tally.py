"""What is counted over a pass.

Authors
 * The PETL audio recipes team 2026
"""

import pytest
import torch

from petl_modules.training import (
    Tally,
    accuracy,
    part_accuracy,
    unweighted_accuracy,
)
from petl_modules.utils import AudioError


def test_every_clip_weighs_the_same():
    """Batches of 3 and 1 give the mean over 4 clips."""
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    tally = Tally(["cat", "dog"])
    for part in (slice(0, 3), slice(3, 4)):
        losses = torch.nn.functional.cross_entropy(
            logits[part], targets[part], reduction="none"
        )
        tally.add("abcd"[part], logits[part], targets[part], losses)
    whole = torch.nn.functional.cross_entropy(logits, targets)
    right = (logits.argmax(1) == targets).float().mean()
    assert tally.result()["loss"] == pytest.approx(whole.item())
    assert tally.result()["accuracy"] == right.item()
    assert [row["id"] for row in tally.predictions()] == list("abcd")


LABELS = ["on|lamp", "on|music", "off|lamp", "off|music"]


def drawn_confusion():
    """Targets and predictions of 200 clips, and their confusion matrix."""
    torch.manual_seed(1)
    pairs = torch.randint(0, 4, (200, 2)).tolist()
    confusion = torch.zeros(4, 4, dtype=torch.long)
    for true, predicted in pairs:
        confusion[true, predicted] += 1
    return [(LABELS[t], LABELS[p]) for t, p in pairs], confusion


def test_accuracy_is_the_share_of_right_clips():
    pairs, confusion = drawn_confusion()
    right = sum(true == predicted for true, predicted in pairs)
    assert accuracy(confusion, LABELS) == right / 200


def test_unweighted_accuracy_is_the_mean_recall():
    pairs, confusion = drawn_confusion()
    recalls = []
    for label in LABELS:
        found = [predicted for true, predicted in pairs if true == label]
        recalls.append(found.count(label) / len(found))
    assert abs(unweighted_accuracy(confusion, LABELS) - sum(recalls) / 4) < 1e-9


def test_unweighted_accuracy_leaves_absent_classes_out():
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 2]])
    assert unweighted_accuracy(confusion, "abc") == (0.75 + 1) / 2


def test_part_accuracy_compares_one_part():
    pairs, confusion = drawn_confusion()
    for part in (0, 1):
        right = sum(
            true.split("|")[part] == predicted.split("|")[part]
            for true, predicted in pairs
        )
        assert part_accuracy(confusion, LABELS, part=part) == right / 200


def test_further_metrics_stand_beside_the_accuracy():
    tally = Tally(["a", "b"], {"recall": unweighted_accuracy})
    logits = torch.eye(2)[[0, 0, 0, 0]]
    tally.add("wxyz", logits, torch.tensor([0, 0, 0, 1]), torch.ones(4))
    assert tally.result() == {"loss": 1.0, "accuracy": 0.75, "recall": 0.5}


def counted(labels="ab"):
    tally = Tally(labels)
    torch.manual_seed(2)
    logits, targets = torch.randn(6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    tally.add("abcdef", logits, targets, torch.rand(6))
    return tally


def test_rows_beyond_the_ids_do_not_count():
    tally = Tally("ab")
    logits, targets = torch.eye(2), torch.tensor([0, 0])
    tally.add("x", logits, targets, torch.tensor([0.5, 7.0]))
    assert tally.result() == {"loss": 0.5, "accuracy": 1.0}
    assert [row["id"] for row in tally.predictions()] == ["x"]


def test_pass_without_a_readable_clip_has_no_result():
    tally = Tally(["cat", "dog"])
    tally.skipped.add("b.wav")
    with pytest.raises(AudioError, match="no clip can be read: b.wav"):
        tally.result()


@pytest.mark.parametrize("in_mid_epoch", [True, False])
def test_counting_goes_on_within_an_epoch(in_mid_epoch, tmp_path):
    first, again = counted(), Tally("ab")
    first.skipped.add("bad")
    first._save(tmp_path / "tally")
    again._load(tmp_path / "tally", end_of_epoch=not in_mid_epoch)
    assert again.skipped == {"bad"}
    for tally in (first, again):
        tally.add("g", torch.eye(2)[:1], torch.tensor([0]), torch.tensor([0.1]))
    assert (again.result() == first.result()) == in_mid_epoch
