"""Filter bank and SpecAugment."""

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

from petl_modules.data import FilterBank, SpecAugment


@pytest.mark.parametrize("seconds", [0.5, 5.0, 7.0])
def test_equals_hugging_faces_extractor(seconds):
    samples = torch.randn(int(16_000 * seconds), generator=torch.manual_seed(0))
    samples = 0.1 * samples + 0.05
    theirs = ASTFeatureExtractor(max_length=500)(
        samples.numpy().astype(np.float64),
        sampling_rate=16_000,
        return_tensors="pt",
    )["input_values"][0]
    ours = FilterBank(frames=500)(samples)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_samples", [1, 160, 399, 400, 800])
def test_clips_shorter_than_one_frame(n_samples):
    features = FilterBank(frames=100)(torch.randn(n_samples))
    assert features.shape == (100, 128) and features.isfinite().all()


def test_silence_is_finite():
    assert FilterBank(frames=10)(torch.zeros(1600)).isfinite().all()


def test_an_offset_changes_nothing():
    bank, samples = FilterBank(frames=100), 0.1 * torch.randn(16_000)
    torch.testing.assert_close(
        bank(samples), bank(samples + 0.3), rtol=1e-3, atol=1e-3
    )


def test_padding_is_that_of_raw_zeros():
    bank = FilterBank(frames=100)
    padded = bank(torch.randn(1600))[50:]
    assert torch.equal(
        padded, torch.full_like(padded, 4.2677393 / (2 * 4.5689974))
    )


def test_each_clip_has_masks_of_its_own():
    torch.manual_seed(0)
    masked = SpecAugment(freq=24, time=80)(torch.ones(64, 500, 128)) == 0
    times, bands = masked.all(2), masked.all(1)
    for masks, widest in ((times, 80), (bands, 24)):
        widths = masks.sum(1)
        assert widths.max() <= widest and widths.float().std() > widest / 8
        assert len({tuple(mask.tolist()) for mask in masks}) > 48
        # one run each
        edges = torch.diff(torch.nn.functional.pad(masks.int(), (1, 1))).abs()
        assert (edges.sum(1) <= 2).all()
    assert torch.equal(masked, times[:, :, None] | bands[:, None, :])


def test_spec_augment_leaves_its_input_alone():
    features = torch.ones(4, 500, 128)
    SpecAugment(freq=24, time=80)(features)
    assert features.all()
