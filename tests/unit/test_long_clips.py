"""Embeddings of clips that are too long for one piece."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from petl_modules.data import BoundedBatches, LogMel, Waveform, Windows
from petl_modules.verification import WHOLE, embed_windows, make_trial_loader
from petl_modules.verification.evaluation import used_seconds

RATE = 100  # Hz, to have small clips
FEATURES = Waveform(None, normalize=False, sample_rate=RATE)
WHOLE_CLIPS = Windows("random", "whole")


def embed(inputs, lengths=None):
    """Mean and mean square of the used steps of each clip."""
    embed.longest = max(embed.longest, inputs.shape[1])
    if lengths is None:
        lengths = torch.ones(len(inputs))
    clips = [x[: round(len(x) * n)] for x, n in zip(inputs, lengths.tolist())]
    return torch.stack([torch.stack([c.mean(), (c**2).mean()]) for c in clips])


MODEL = SimpleNamespace(embed=embed)


@pytest.fixture
def clips():
    """Of 400, 170 and 100 s."""
    embed.longest = 0
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(seconds * RATE, generator=generator)
        * torch.linspace(0, 1, seconds * RATE)
        for seconds in (400, 170, 100)
    ]


def direction(clip):
    vector = torch.stack([clip.mean(), (clip**2).mean()]).double()
    return vector / vector.norm()


def test_parts_of_long_clips_are_averaged(clips):
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor([len(clip) / len(clips[0]) for clip in clips])
    found = embed_windows(MODEL, WHOLE_CLIPS, FEATURES, padded, lengths)
    assert embed.longest <= WHOLE * RATE
    assert found.shape == (3, 1, 2)
    cuts = [(0, 13334, 26667, 40000), (0, 8500, 17000), (0, 10000)]
    for row, clip, ends in zip(found[:, 0].double(), clips, cuts):
        parts = [direction(clip[a:b]) for a, b in zip(ends, ends[1:])]
        expected = torch.stack(parts).mean(0)
        assert torch.allclose(row, expected, atol=1e-6)


def test_a_long_clip_does_not_depend_on_its_batch(clips):
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor([len(clip) / len(clips[0]) for clip in clips])
    together = embed_windows(MODEL, WHOLE_CLIPS, FEATURES, padded, lengths)
    for row, clip in zip(together, clips):
        alone = embed_windows(MODEL, WHOLE_CLIPS, FEATURES, clip[None])[0, 0]
        alone = alone / alone.norm()
        assert torch.allclose(row[0] / row[0].norm(), alone, atol=1e-6)


@pytest.mark.parametrize("seconds", [100, WHOLE])
def test_other_clips_are_embedded_in_one_piece(seconds, clips):
    clip = clips[0][None, : seconds * RATE]
    found = embed_windows(MODEL, WHOLE_CLIPS, FEATURES, clip)
    assert torch.equal(found[:, 0], embed(clip))


@pytest.mark.parametrize(
    ("seconds", "windows", "used"),
    [
        (None, Windows("random", "whole"), 60.0),
        (4.0, Windows("random", 5), 20.0),
        (100.0, Windows("random", 1), 100.0),  # repeated
        (100.0, Windows("first", 1), 60.0),
        (4.0, Windows("first", 1), 4.0),
    ],
)
def test_batches_count_what_is_embedded(seconds, windows, used):
    assert used_seconds(60.0, Waveform(seconds), windows) == used
    records = {c: {"wav": c, "duration": 60.0} for c in "abcd"}
    loader = make_trial_loader(
        records,
        "",
        Waveform(seconds),
        windows,
        partial(BoundedBatches, seconds=2 * used, batch_size=9),
        {},
    )
    assert [*loader.batch_sampler] == [[0, 1], [2, 3]]


def test_frames_are_counted_as_the_features_make_them():
    features = LogMel(None, mel_bins=4, sample_rate=1000)
    frames = torch.rand(1, 2 * len(features(torch.zeros(WHOLE * 1000))), 4)
    embed.longest = 0
    embed_windows(MODEL, WHOLE_CLIPS, features, frames)
    assert embed.longest == frames.shape[1] // 2
