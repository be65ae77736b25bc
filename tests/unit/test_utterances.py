"""Datasets of recognition, its evaluation on several sets, its own head."""

from types import SimpleNamespace

import pytest
import soundfile
import torch

from petl_modules.data import Waveform
from petl_modules.models import RecurrentHead
from petl_modules.recognition import (
    GreedyDecoder,
    RecognitionMetrics,
    Units,
    evaluate_sets,
    evaluation,
    make_utterances,
)
from petl_modules.utils import DataError, HparamsError
from tests.corpora import sound_of

UNITS = Units("characters", ["<blank>", " ", "a", "b"])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five clips of different lengths."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(5):
        samples = sound_of(number, 1600 * (number + 1))
        soundfile.write(folder / f"{number}.wav", samples, 16000)
    return folder


def record(number, text="ab a", **facts):
    wav = f"{{data_root}}/{number}.wav"
    return {"wav": wav, "duration": 0.1 * (number + 1), "text": text, **facts}


def datasets(data, parts, units=UNITS, seconds=None):
    features = Waveform(seconds=seconds, normalize=False)
    return make_utterances(parts, str(data), features, units)


def test_items_are_features_and_units(data):
    parts = {"train": {"x": record(2)}, "test": {"y": record(0, "b")}}
    item = datasets(data, parts)["train"][0]
    assert (item["id"], item["said"]) == ("x", "ab a")
    assert item["features"].shape == (4800,)
    assert item["target"].tolist() == [2, 3, 1, 2]
    assert item["count"].tolist() == [4]


def test_phones_are_recognised_by_their_key(data):
    units = Units("phones", ["<blank>", "AA1", "B"])
    parts = {"test": {"x": record(0, phones="B AA1 B")}}
    item = datasets(data, parts, units)["test"][0]
    assert item["said"] == "B AA1 B" and item["target"].tolist() == [2, 1, 2]


def test_conditions_are_sets_of_their_own(data):
    """The longest first; training clips are one set, in their order."""
    noisy = {"condition": "other"}
    parts = {
        "train": {"a": record(0, **noisy), "b": record(1)},
        "valid": {"c": record(2)},
        "test": {
            "d": record(0),
            "e": record(1, **noisy),
            "f": record(3, **noisy),
            "g": record(4),
        },
    }
    made = datasets(data, parts)
    assert {name: list(d.data_ids) for name, d in made.items()} == {
        "train": ["a", "b"],
        "valid": ["c"],
        "test": ["g", "d"],
        "test_other": ["f", "e"],
    }
    assert made["train"].durations == pytest.approx([0.1, 0.2])


def test_a_part_needs_clips_without_a_condition(data):
    parts = {"test": {"x": record(0, condition="other")}}
    with pytest.raises(HparamsError, match="all clips of the part 'test'"):
        datasets(data, parts)


def test_audio_is_not_cut_under_its_transcript(data):
    with pytest.raises(HparamsError, match="transcripts are of whole ones"):
        datasets(data, {"test": {"x": record(0)}}, seconds=1.0)


def test_unknown_units_are_named(data):
    made = datasets(data, {"test": {"x": record(0, "abc")}})
    with pytest.raises(DataError, match="'c'"):
        made["test"][0]


class StandIn:
    """A Brain that says the same of every clip: 'a'."""

    def __init__(self, folder):
        metrics = RecognitionMetrics(UNITS, GreedyDecoder(UNITS))
        self.hparams = SimpleNamespace(
            fold_folder=str(folder), metrics=metrics, test_loader={}
        )
        self.keys = []

    def evaluate(self, dataset, max_key=None, test_loader_kwargs=None):
        self.keys.append(max_key)
        metrics = self.hparams.metrics
        metrics.clear()
        logits = torch.tensor([[[0.0, 0.0, 9.0, 0.0]]])
        for clip in dataset.data_ids:
            text = dataset.data[clip]["text"]
            metrics.append([clip], logits, None, [text], torch.ones(1))
        self.test_stats = metrics.summarize()


def test_each_set_has_its_rates_and_alignments(data, tmp_path, monkeypatch):
    brain, noisy = StandIn(tmp_path), {"condition": "other"}
    parts = {
        "train": {"t": record(0)},
        "valid": {"v": record(0, "a"), "w": record(0, "b", **noisy)},
        "test": {"x": record(0, "a a"), "y": record(0, "b b b b", **noisy)},
    }

    def tested(brain, dataset):
        brain.evaluate(dataset, "score")
        return {"test_wer": brain.test_stats["wer"]}

    monkeypatch.setattr(evaluation, "evaluate_last_and_best", tested)
    result, rows = evaluate_sets(brain, datasets(data, parts))
    assert result["test_wer"] == 0.5
    assert result["test_other_wer"] == 1.0
    assert result["valid_other_wer"] == 1.0
    assert [row["id"] for row in rows] == ["x", "y"]  # tested alone
    assert brain.keys == ["score"] * 3  # the selected weights
    assert "x, %WER 50" in (tmp_path / "alignments.txt").read_text()
    other = (tmp_path / "alignments_other.txt").read_text()
    assert "y, %WER 100" in other and "x, %WER" not in other


# The head of SUPERB


def test_a_padded_clip_has_the_outputs_of_the_clip_alone():
    torch.manual_seed(0)
    head = RecurrentHead(8, out_features=3, width=16).eval()
    clips = torch.randn(3, 12, 8)
    counts = torch.tensor([12, 5, 9])
    mask = torch.arange(12) < counts[:, None]
    together = head(clips, mask)
    assert together.shape == (3, 12, 3)
    for clip, count, found in zip(clips, counts.tolist(), together):
        alone = head(clip[None, :count])[0]
        torch.testing.assert_close(found[:count], alone)


def test_every_weight_of_it_gets_a_gradient():
    head = RecurrentHead(8, out_features=3, width=4)
    head(torch.randn(2, 6, 8)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
