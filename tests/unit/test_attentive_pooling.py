"""Attention pooling and attentive statistics: formulas, and padding."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from petl_modules.models import (
    AttentionPooling,
    AttentiveStatistics,
    MeanPooling,
)
from petl_modules.utils import HparamsError


def by_queries(queries=3):
    torch.manual_seed(0)
    module = AttentionPooling(6, queries=queries)
    nn.init.normal_(module.queries, std=2.0)
    return module


def clips():
    """Hidden states of three clips, of which two are padded."""
    torch.manual_seed(1)
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    return torch.randn(3, 9, 6), mask


def test_queries_of_0_give_the_mean():
    hidden, mask = clips()
    module = AttentionPooling(6, queries=2)
    for real in (None, mask):
        mean = MeanPooling()(hidden, real)
        expected = torch.cat([mean, mean], 1)
        torch.testing.assert_close(module(hidden, real), expected)


def test_each_query_weighs_by_its_formula():
    hidden, mask = clips()
    module, expected = by_queries(), []
    for clip, real in zip(hidden, mask):
        vectors = []
        for query in module.queries.detach():
            shares = torch.tensor(
                [
                    math.exp(float(token @ query) / math.sqrt(6))
                    for token in clip[real]
                ]
            )
            shares = shares / shares.sum()
            vectors.append(
                sum(share * token for share, token in zip(shares, clip[real]))
            )
        expected.append(torch.cat(vectors))
    torch.testing.assert_close(module(hidden, mask), torch.stack(expected))


def test_queries_are_scaled_dot_product_attention_and_its_gradients():
    hidden, mask = clips()
    module, found = by_queries(), []
    for attend in (
        lambda x: module(x, mask),
        lambda x: F.scaled_dot_product_attention(
            module.queries.expand(3, -1, -1), x, x, mask.unsqueeze(1)
        ).flatten(1),
    ):
        x = hidden.clone().requires_grad_()
        pooled = attend(x)
        loss = pooled.square().sum()
        found.append([pooled, *torch.autograd.grad(loss, [x, module.queries])])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


def test_padding_changes_no_weighted_mean_and_gets_no_gradient():
    hidden, mask = clips()
    module = by_queries()
    padded = hidden.masked_fill(~mask[:, :, None], 50.0).requires_grad_()
    pooled = module(padded, mask)
    for clip, real, vector in zip(hidden, mask, pooled):
        torch.testing.assert_close(module(clip[real].unsqueeze(0))[0], vector)
    (gradient,) = torch.autograd.grad(pooled.square().sum(), padded)
    assert not gradient[~mask].any()


def test_queries_begin_to_differ_in_the_first_step():
    """Behind a linear layer, which tells their means apart."""
    hidden, mask = clips()
    module, head = AttentionPooling(6, queries=2), nn.Linear(12, 4)
    loss = head(module(hidden, mask)).square().sum()
    one, other = torch.autograd.grad(loss, module.queries)[0]
    assert one.any() and other.any() and not torch.allclose(one, other)


def test_parameters_of_attention_pooling():
    pooling = AttentionPooling(768, queries=4)
    assert sum(p.numel() for p in pooling.parameters()) == 4 * 768
    assert pooling.width(768) == 4 * 768


def test_without_queries_it_is_refused():
    with pytest.raises(HparamsError, match="queries is 0: .* at least one"):
        AttentionPooling(6, queries=0)


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
