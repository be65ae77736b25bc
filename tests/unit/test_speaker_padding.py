"""Padded clips in the convolutional speaker models, against clips alone."""

from functools import partial

import pytest
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from petl_modules.speaker_models import (
    EcapaPartition,
    ResNetPartition,
    TacFusion,
)
from petl_modules.speaker_models.padding import Padding
from petl_modules.utils import DataError

Ecapa = partial(EcapaPartition, channels=64, embedding_size=16)
Small = partial(
    ResNetPartition, channels=(16, 16, 32, 32), block_sizes=(2, 1, 1, 1)
)
CASES = [
    (make, {"subsets": subsets, **options})
    for make in (Ecapa, Small)
    for subsets, options in (
        (1, {}),
        (2, {}),
        (2, {"weights": "separate"}),
        (2, {"fusion": TacFusion}),
    )
] + [(Ecapa, {"subsets": 2, "stem": "dense"})]
# the shortest, odd lengths at every stride, one frame less, all frames
FRAMES = [5, 23, 38, 49, 50]


def clips(dtype=torch.float64):
    torch.manual_seed(0)
    return [torch.randn(frames, 80, dtype=dtype) for frames in FRAMES]


def padded(parts, fill=7.0):
    """Clips as a batch, behind whose ends nothing sensible stands."""
    batch = nn.utils.rnn.pad_sequence(parts, True, padding_value=fill)
    frames = torch.tensor([len(part) for part in parts])
    return batch, frames / batch.shape[1]


def drawn(make, options):
    """A model with drawn norms, so that no statistic is 0 or 1."""
    torch.manual_seed(1)
    model = make(**options)
    model(torch.randn(4, 60, 80) + 1)  # statistics of a batch
    for name, parameter in model.named_parameters():
        if "norm" in name and parameter.dim() == 1:
            nn.init.normal_(parameter, mean=1.0, std=0.3)
    return model.double().eval()


@pytest.mark.parametrize("make, options", CASES)
def test_padded_clip_equals_the_clip_alone(make, options):
    model = drawn(make, options)
    alone = torch.cat([model(clip.unsqueeze(0)) for clip in clips()])
    together = model(*padded(clips()))
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
    assert alone.std(0).min() > 1e-3  # they tell clips apart


@pytest.mark.parametrize("make", [Ecapa, Small])
def test_single_precision_differs_by_rounding(make):
    model = drawn(make, {"subsets": 2}).float()
    parts = clips(torch.float32)
    alone = torch.cat([model(clip.unsqueeze(0)) for clip in parts])
    together = model(*padded(parts))
    assert (together - alone).norm() < 1e-5 * alone.norm()


def test_speechbrains_model_differs():
    """What the hooks are for: without them the end of a clip reads padding."""
    theirs = ECAPA_TDNN(80, channels=[64] * 4 + [192], lin_neurons=16).eval()
    parts = clips(torch.float32)
    alone = torch.cat([theirs(clip.unsqueeze(0)) for clip in parts])
    together = theirs(*padded(parts))
    assert (together - alone).norm() > 1e-3 * alone.norm()


@pytest.mark.parametrize("make", [Ecapa, Small])
@pytest.mark.parametrize("subsets", [1, 2])
def test_padding_does_not_reach_training(make, subsets):
    """Other padding: same embeddings, statistics and gradients."""
    found = []
    for fill in (0.0, 50.0):
        torch.manual_seed(1)
        model = make(subsets=subsets)
        out = model(*padded(clips(torch.float32), fill))
        out.square().sum().backward()
        tensors = [*model.state_dict().values(), out]
        found.append([*tensors, *(p.grad for p in model.parameters())])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("make", [Ecapa, Small])
def test_training_without_padding_takes_the_same_statistics(make):
    """The masked way through the norms, against torch's own kernel."""
    found = []
    for padding in (0, 9):
        torch.manual_seed(1)
        model = make(subsets=2)
        parts = [clip[:38] for clip in clips(torch.float32)[2:]]
        batch, _ = padded(parts)
        # all clips are padded by as much: the same batch, written longer
        batch = nn.functional.pad(batch, (0, 0, 0, padding), value=3.0)
        lengths = torch.full((3,), 38 / batch.shape[1])
        out = model(batch, lengths if padding else None)
        found.append([*model.state_dict().values(), out])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_lengths_that_round_badly_count_no_frame_too_many():
    for total in range(2, 700, 7):
        frames = torch.arange(1, total + 1)
        padding = Padding()
        features = torch.empty(total, total, 0)
        with padding.of(features, frames / total):
            x = torch.empty(total, 0, total)
            assert torch.equal(padding.mask(x).sum(1), frames)
            given = padding._give_lengths(None, (x,))[1]
            steps = torch.arange(total, dtype=given.dtype)
            seen = steps < (given * total).unsqueeze(1)
            assert torch.equal(seen.sum(1), frames)


@pytest.mark.parametrize("make", [Ecapa, Small])
def test_no_norm_is_left_that_speechbrain_would_convert(make):
    """SyncBatchNorm has no mask, and no CPU version."""
    for module in make(subsets=2).modules():
        assert not isinstance(module, _BatchNorm)


def test_padding_is_forgotten_after_an_error():
    model = Ecapa()
    with pytest.raises(RuntimeError):
        model(torch.rand(2, 40, 81), torch.tensor([0.5, 1.0]))
    assert model.padding.real == {}


@pytest.mark.parametrize("lengths", [None, torch.tensor([0.1, 1.0])])
def test_too_short_clip_is_named(lengths):
    features = torch.rand(2, 4 if lengths is None else 40, 80)
    with pytest.raises(DataError, match="a clip of 4 frames: .* at least 5"):
        Ecapa()(features, lengths)
