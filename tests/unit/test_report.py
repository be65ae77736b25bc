"""Means over folds, the result table, and pictures."""

import io

import numpy as np
import pytest

from petl_modules.runs.plots import draw_tradeoff
from petl_modules.runs.report import means, table
from petl_modules.runs.summary import build_summary
from petl_modules.training.confusion import draw_confusion

FOLD = {
    "fold": 1,
    "epochs": 3,
    "best_epoch": 2,
    "train_accuracy": 0.5,
    "valid_accuracy": 0.5,
    "test_accuracy": 0.5,
    "last_epoch_test_accuracy": 0.25,
    "seconds": 1.0,
}
RUN = {
    "dataset": "ESC50",
    "method": "lora",
    "backbone": "tiny-ast",
    "seed": 10,
    "protocol": "5 folds",
    "trainable_parameters": 20,
    "petl_parameters": 10,
    "total_parameters": 100,
}


def test_one_fold_has_no_deviation():
    assert means([FOLD]) == {"accuracy_mean": 0.5}
    both = means([FOLD, {**FOLD, "fold": 2, "test_accuracy": 1.0}])
    assert both == {"accuracy_mean": 0.75, "accuracy_std": 0.25}


def test_summary_says_which_metric_selects():
    settings = {**RUN, "best_metric": {"name": "wer", "mode": "min"}}
    fold = {"fold": 1, "test_wer": 0.5, "test_other_wer": 1.5}
    fold |= {"test_loss": 2.0, "test_other_loss": 3.0}
    summary = build_summary(settings, [{"fold": fold}], "one split", 1)
    assert summary["metric"] == {"name": "wer", "mode": "min"}
    means = {key: v for key, v in summary.items() if key.endswith("_mean")}
    assert means == {"wer_mean": 0.5, "other_wer_mean": 1.5}


def test_table_tells_the_clips_that_are_left_out():
    folds = [{**FOLD, "skipped_clips": ["a.wav", "b.wav"]}]
    summary = {**RUN, "folds": folds, **means(folds)}
    lines = table(summary, 5, "accuracy").splitlines()
    assert "clips left out, which cannot be read: 2" in lines
    assert "accuracy 50.00 % over 1 of 5 folds" in lines
    for folds in ([FOLD], [{**FOLD, "skipped_clips": []}]):
        summary = {**RUN, "folds": folds, **means(folds)}
        assert "left out" not in table(summary, 5, "accuracy")


def drawn(monkeypatch, draw, *arguments):
    """The figure that a function saves."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def savefig(figure, *_, **__):
        save(figure, io.BytesIO())  # which arranges it
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    draw(*arguments)
    [figure] = figures
    return figure


def test_picture_of_a_confusion_matrix_has_a_title(monkeypatch):
    counts = np.array([[3, 1], [0, 4]])
    figure = drawn(monkeypatch, draw_confusion, "x.png", counts, ["a", "b"])
    assert figure.get_suptitle() == "8 test clips, 87.50% right"


@pytest.mark.parametrize("size", [1, 2, 5])
def test_names_of_methods_do_not_overlap(size, monkeypatch):
    """Thirty methods of one size and accuracy, and one far away."""
    points = [(f"attentive_layers_{i}", 50_000, 0.8, 0.1) for i in range(30)]
    points.append(("full_finetuning", 10**6, 0.9, 0.01))
    panels = {f"data set {i}": points for i in range(size)}
    figure = drawn(monkeypatch, draw_tradeoff, "x.png", panels, "accuracy")
    width, height = figure.get_size_inches()
    assert width / height < 2
    for axes in figure.axes:  # the legend leaves room for panels
        assert axes.get_window_extent().height > 2 * figure.dpi
    [legend] = figure.legends
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    assert len(boxes) == 31
    for place, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:place])
    lines = {
        (mark.lines[0].get_marker(), mark.lines[0].get_color())
        for mark in figure.axes[0].containers
    }
    assert len(lines) == 31  # each method looks different
