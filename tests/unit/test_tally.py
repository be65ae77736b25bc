"""What is counted over a pass.

Authors
 * The PETL audio recipes team 2026
"""

import pytest
import torch

from petl_modules.tally import (
    Tally,
    accuracy,
    part_accuracy,
    unweighted_accuracy,
)


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
    tally.add("wxyz", logits, torch.tensor([0, 0, 0, 1]), torch.tensor(1.0))
    assert tally.result() == {"loss": 1.0, "accuracy": 0.75, "recall": 0.5}
