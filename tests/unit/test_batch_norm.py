"""Batch normalisation against torch's own."""

import pytest
import torch
from torch import nn

from petl_modules.blocks import MaskedBatchNorm


@pytest.fixture
def pair():
    """Ours and torch's, with the same drawn weights."""
    torch.manual_seed(0)
    theirs = nn.BatchNorm1d(6)
    nn.init.normal_(theirs.weight, mean=1)
    nn.init.normal_(theirs.bias)
    ours = MaskedBatchNorm(6)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def frames(dtype=torch.float32):
    torch.manual_seed(1)
    x = 3 * torch.randn(4, 20, 6) + 5
    return x.to(dtype).requires_grad_()


def mask():
    lengths = torch.tensor([20, 3, 11, 1])
    return torch.arange(20) < lengths.unsqueeze(1)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_equals_torch_on_the_real_frames(pair, padded, training):
    ours, theirs = (norm.train(training) for norm in pair)
    given = mask() if padded else None
    x, y = frames(), frames()
    real = mask() if padded else torch.ones(4, 20, dtype=torch.bool)
    for _ in range(2):
        out = ours(x, given)[real]
        expected = theirs(y[real])
    torch.testing.assert_close(out, expected)
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad[real], y.grad[real])
    for mine, their in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(mine.grad, their.grad, rtol=1e-5, atol=1e-4)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_padding_gets_no_gradient(pair):
    x = frames()
    pair[0](x, mask())[mask()].square().sum().backward()
    assert x.grad[~mask()].eq(0).all()


def test_half_precision_is_normalised_in_full(pair):
    out = pair[0](frames(torch.bfloat16))
    assert out.dtype == torch.bfloat16
    expected = pair[1](frames(torch.bfloat16).float().flatten(0, 1))
    torch.testing.assert_close(
        out.float().flatten(0, 1), expected, rtol=1e-2, atol=2e-2
    )


def test_one_frame_gives_no_infinite_variance():
    norm = MaskedBatchNorm(2)
    norm(torch.rand(1, 1, 2))
    assert torch.isfinite(norm.running_var).all()
