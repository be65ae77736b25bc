"""Clips are evaluated as if alone, in batches of one length."""

import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from test_methods import CASES, LABELS, Kind

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.data import longest_first, make_datasets
from petl_modules.features import Waveform
from petl_modules.lengths import by_length
from petl_modules.linear_probe import Probe

# In samples: one sample apart, twice and three times the same
LENGTHS = (3_300, 5_000, 3_301, 3_300, 4_000, 5_000, 3_300)


@pytest.fixture
def clips():
    torch.manual_seed(0)
    return [torch.randn(length) for length in LENGTHS]


def padded(clips):
    """Inputs and relative lengths as a loader gives them."""
    return tuple(PaddedBatch([{"x": clip} for clip in clips]).x)


def built(kind, case):
    """A model in eval mode with blocks that are not silent."""
    model = kind.build(case).eval()
    for block in model.inserted.values():
        for parameter in model.get_submodule(block).parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_logits_are_those_of_the_clip_alone(case, norm, tiny_wav2vec2, clips):
    model = built(Kind(norm, tiny_wav2vec2[norm]), case)
    with torch.inference_mode():
        together = model(*padded(clips))
        alone = [model(*padded([clip])) for clip in clips]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_pooled_features_are_those_of_the_clip_alone(
    norm, tiny_wav2vec2, clips
):
    probe = Probe(built(Kind(norm, tiny_wav2vec2[norm]), "linear"))
    together = probe.pool(*padded(clips))
    alone = [probe.pool(*padded([clip])) for clip in clips]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.fixture
def seen(monkeypatch):
    """What backbones are given."""
    given = []
    for backbone in (AST, Wav2Vec2):
        usual = backbone.forward

        def forward(self, inputs, lengths=None, usual=usual):
            given.append((inputs, lengths))
            return usual(self, inputs, lengths)

        monkeypatch.setattr(backbone, "forward", forward)
    return given


def test_nothing_is_padded(tiny_wav2vec2, clips, seen):
    model = built(Kind("group", tiny_wav2vec2["group"]), "lora")
    with torch.inference_mode():
        model(*padded(clips))
    assert [tuple(inputs.shape) for inputs, _ in seen] == [
        (3, 3_300),
        (2, 5_000),
        (1, 3_301),
        (1, 4_000),
    ]
    rows = [row for inputs, _ in seen for row in inputs]
    for row, clip in zip(rows, [0, 3, 6, 1, 5, 2, 4], strict=True):
        assert torch.equal(row, clips[clip])
    assert all(lengths is None for _, lengths in seen)


@pytest.mark.parametrize(
    ("norm", "training"), [("group", True), ("layer", False), ("layer", True)]
)
def test_elsewhere_a_batch_is_padded(
    norm, training, tiny_wav2vec2, clips, seen
):
    model = built(Kind(norm, tiny_wav2vec2[norm]), "lora").train(training)
    model(*padded(clips))
    assert [inputs.shape for inputs, _ in seen] == [(7, 5_000)]


def test_spectrograms_go_in_one_batch(tiny_ast, seen):
    kind = Kind("ast", tiny_ast)
    model, inputs = kind.build("lora").eval(), kind.inputs()
    model(inputs, torch.ones(len(inputs)))
    assert [len(inputs) for inputs, _ in seen] == [len(inputs)]


def test_lengths_are_those_of_the_samples():
    """Float32 lengths of any clip give back its number of samples."""
    total = 160_000
    samples = torch.arange(400, total + 1, 97)
    inputs = torch.zeros(1, total).expand(len(samples), total)
    found = by_length(
        lambda x: torch.full((len(x),), x.shape[1]), inputs, samples / total
    )
    assert torch.equal(found, samples)


# The order


def test_equal_durations_stay_in_order():
    durations = {"a": 0.5, "b": 1.0, "c": 0.25, "d": 1.0, "e": 0.5}
    records = {clip: {"duration": s} for clip, s in durations.items()}
    assert longest_first(records) == ["b", "d", "a", "e", "c"]


def test_training_clips_stay_in_order(tmp_path):
    records = {}
    for name, samples in (("a", 8_000), ("b", 9_000), ("c", 8_500)):
        soundfile.write(tmp_path / f"{name}.wav", torch.zeros(samples), 16_000)
        records[name] = {
            "wav": f"{{data_root}}/{name}.wav",
            "duration": samples / 16_000,
            "label": LABELS[0],
        }
    parts = dict.fromkeys(("train", "valid", "test"), records)
    datasets = make_datasets(parts, tmp_path, Waveform(1.0), LABELS)
    orders = {
        part: "".join(item["id"] for item in dataset)
        for part, dataset in datasets.items()
    }
    assert orders == {"train": "abc", "valid": "bca", "test": "bca"}
