"""Attentive statistics pooling: its formula, and padding."""

import copy
import pickle

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from petl_modules.models import AttentiveStatistics


def pooling():
    torch.manual_seed(0)
    module = AttentiveStatistics(6, channels=4)
    with torch.no_grad():  # statistics of a batch norm that says something
        module(torch.randn(8, 20, 6))
    return module.eval()


def test_a_padded_clip_is_pooled_as_the_clip_alone():
    """At every length: a relative length must not round to another frame."""
    module = pooling()
    for total in (7, 13, 50, 149):
        hidden = torch.randn(total, total, 6)
        mask = torch.arange(total) < torch.arange(1, total + 1)[:, None]
        together = module(hidden, mask)
        for clip in range(total):
            alone = module(hidden[clip : clip + 1, : clip + 1])
            torch.testing.assert_close(together[clip : clip + 1], alone)


def test_formula():
    module, hidden = pooling(), torch.randn(1, 9, 6)
    x = hidden.transpose(1, 2)
    std = ((x - x.mean(2, keepdim=True)) ** 2).mean(2, keepdim=True).sqrt()
    context = torch.cat([x, x.mean(2, keepdim=True) + 0 * x, std + 0 * x], 1)
    part = module.attention
    scores = part.conv(torch.tanh(part.tdnn(context)))
    weights = scores.softmax(2)
    mean = (weights * x).sum(2)
    deviation = (weights * (x - mean.unsqueeze(2)) ** 2).sum(2).sqrt()
    expected = module.norm(torch.cat([mean, deviation], 1))
    torch.testing.assert_close(module(hidden), expected)


def test_padding_does_not_reach_training():
    """Other padding: same vectors, gradients and running statistics."""
    hidden = torch.randn(3, 9, 6)
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    found = []
    for fill in (0.0, 50.0):
        module = pooling().train()
        x = hidden.masked_fill(~mask[:, :, None], fill).requires_grad_()
        pooled = module(x, mask)
        pooled.square().sum().backward()
        found.append([*module.state_dict().values(), pooled, x.grad])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


def test_no_norm_is_left_that_speechbrain_would_convert():
    """SyncBatchNorm has no CPU version."""
    modules = AttentiveStatistics(6).modules()
    assert not any(isinstance(module, _BatchNorm) for module in modules)


def test_parameters():
    """Two layers of width 128, a norm of each, and the norm of the result."""
    count = sum(p.numel() for p in AttentiveStatistics(768).parameters())
    assert count == 394_368 + 3_072


def test_copies_are_independent():
    module, hidden = pooling(), torch.randn(2, 5, 6)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        before = module(hidden)
        torch.testing.assert_close(other(hidden), before)
        with torch.no_grad():
            other.norm.weight.zero_()
        torch.testing.assert_close(module(hidden), before)
