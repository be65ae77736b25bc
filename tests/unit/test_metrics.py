"""The metrics of a pass over a dataset."""

import pytest
import torch

from petl_modules.training import (
    ClassificationMetrics,
    accuracy,
    slot_accuracy,
    unweighted_accuracy,
)
from petl_modules.utils import HparamsError


def test_every_clip_weighs_the_same():
    """Batches of 3 and 1 give the mean over 4 clips."""
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    metrics = ClassificationMetrics(["cat", "dog"])
    for part in (slice(0, 3), slice(3, 4)):
        losses = torch.nn.functional.cross_entropy(
            logits[part], targets[part], reduction="none"
        )
        metrics.append("abcd"[part], logits[part], targets[part], losses)
    whole = torch.nn.functional.cross_entropy(logits, targets)
    right = (logits.argmax(1) == targets).float().mean()
    assert metrics.summarize()["loss"] == pytest.approx(whole.item())
    assert metrics.summarize()["accuracy"] == right.item()
    assert metrics.names == [*metrics.summarize()]
    assert [row["id"] for row in metrics.predictions()] == list("abcd")


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


def test_slot_accuracy_compares_one_slot():
    pairs, confusion = drawn_confusion()
    for slot in (0, 1):
        right = sum(
            true.split("|")[slot] == predicted.split("|")[slot]
            for true, predicted in pairs
        )
        assert slot_accuracy(confusion, LABELS, slot=slot) == right / 200


def test_further_metrics_are_added_to_the_accuracy():
    metrics = ClassificationMetrics(["a", "b"], {"recall": unweighted_accuracy})
    logits = torch.eye(2)[[0, 0, 0, 0]]
    metrics.append("wxyz", logits, torch.tensor([0, 0, 0, 1]), torch.ones(4))
    assert metrics.summarize() == {"loss": 1.0, "accuracy": 0.75, "recall": 0.5}


def counted(labels="ab"):
    metrics = ClassificationMetrics(labels)
    torch.manual_seed(2)
    logits, targets = torch.randn(6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    metrics.append("abcdef", logits, targets, torch.rand(6))
    return metrics


def test_rows_beyond_the_ids_do_not_count():
    metrics = ClassificationMetrics("ab")
    logits, targets = torch.eye(2), torch.tensor([0, 0])
    metrics.append("x", logits, targets, torch.tensor([0.5, 7.0]))
    assert metrics.summarize() == {"loss": 0.5, "accuracy": 1.0}
    assert [row["id"] for row in metrics.predictions()] == ["x"]


@pytest.mark.parametrize("labels", [[], ["cat", "dog", "cat"]])
def test_labels_must_be_there_each_once(labels):
    with pytest.raises(HparamsError, match="each once"):
        ClassificationMetrics(labels)


@pytest.mark.parametrize("in_mid_epoch", [True, False])
def test_counting_goes_on_within_an_epoch(in_mid_epoch, tmp_path):
    first, again = counted(), ClassificationMetrics("ab")
    first._save(tmp_path / "metrics")
    again._load(tmp_path / "metrics", end_of_epoch=not in_mid_epoch)
    for metrics in (first, again):
        metrics.append(
            "g", torch.eye(2)[:1], torch.tensor([0]), torch.tensor([0.1])
        )
    assert (again.summarize() == first.summarize()) == in_mid_epoch


def test_losses_are_one_for_each_clip():
    metrics = ClassificationMetrics(["cat", "dog"])
    logits, targets = torch.eye(2), torch.tensor([0, 1])
    with pytest.raises(
        HparamsError, match=r"^loss.* \[2, 2\] numbers of 2 cli"
    ):
        metrics.append(["a", "b"], logits, targets, logits)


def test_logits_are_one_for_each_class():
    metrics = ClassificationMetrics(["cat", "dog"])
    targets = torch.tensor([0, 1])
    words = r"^head.* \[3\] outputs of a clip, and there are 2 classes"
    with pytest.raises(HparamsError, match=words):
        metrics.append(["a", "b"], torch.ones(2, 3), targets, torch.ones(2))
