"""Pooling by prototypes: formula, padding and gradients of the signs."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.models import PrototypePooling
from petl_modules.utils import HparamsError


def clips():
    """Hidden states of three clips, of which two are padded."""
    torch.manual_seed(1)
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    return torch.randn(3, 9, 6, dtype=torch.float64), mask


def pooling(prototypes=5):
    torch.manual_seed(0)
    return PrototypePooling(6, prototypes=prototypes).double()


def cosine(token, prototype):
    """The cosine of a token with the signs of a prototype, by hand."""
    signs = [1.0 if value >= 0 else -1.0 for value in prototype]
    dot = sum(float(x) * sign for x, sign in zip(token, signs))
    length = math.sqrt(sum(float(x) ** 2 for x in token))
    return dot / length / math.sqrt(len(signs))


def test_equals_its_formula():
    hidden, mask = clips()
    module = pooling()
    module.prototypes.data[0, 0] = 0.0  # whose sign is 1
    expected = [
        [
            max(cosine(token, prototype) for token in clip[real])
            for prototype in module.prototypes.tolist()
        ]
        for clip, real in zip(hidden, mask)
    ]
    found = module(hidden, mask)
    torch.testing.assert_close(found, torch.tensor(expected).double())
    assert found.shape == (3, module.width(6))


def test_padding_changes_nothing_and_gets_no_gradient():
    hidden, mask = clips()
    module = pooling()
    padded = hidden.masked_fill(~mask[:, :, None], 50.0).requires_grad_()
    pooled = module(padded, mask)
    for clip, real, vector in zip(hidden, mask, pooled):
        torch.testing.assert_close(module(clip[real].unsqueeze(0))[0], vector)
    (gradient,) = torch.autograd.grad(pooled.square().sum(), padded)
    assert not gradient[~mask].any()


def test_the_signs_alone_count():
    hidden, mask = clips()
    module = pooling()
    before = module(hidden, mask)
    module.prototypes.data.mul_(torch.rand(5, 6) + 0.5)
    assert torch.equal(module(hidden, mask), before)
    module.prototypes.data.neg_()
    assert not torch.equal(module(hidden, mask), before)


def test_gradients_are_those_of_the_signs():
    hidden, mask = clips()
    module = pooling()
    loss = module(hidden, mask).square().sum()
    (found,) = torch.autograd.grad(loss, [module.prototypes])
    signs = module.prototypes.detach().sign().requires_grad_()
    cosines = F.cosine_similarity(hidden[:, None], signs[None, :, None], dim=-1)
    nearest = cosines.masked_fill(~mask[:, None], -2.0).amax(-1)
    (expected,) = torch.autograd.grad(nearest.square().sum(), [signs])
    torch.testing.assert_close(found, expected)


def test_a_step_turns_signs_towards_a_class():
    torch.manual_seed(0)
    hidden = torch.randn(40, 5, 16)
    labels = torch.arange(40) % 2
    hidden[labels == 1, 2] += 6.0  # one of five tokens tells the class
    model = PrototypePooling(16, prototypes=4)
    head = nn.Linear(4, 2)
    optimiser = torch.optim.Adam(
        [*model.parameters(), *head.parameters()], lr=0.05
    )
    for _ in range(60):
        optimiser.zero_grad()
        loss = F.cross_entropy(head(model(hidden)), labels)
        loss.backward()
        optimiser.step()
    assert (head(model(hidden)).argmax(1) == labels).all()


def test_no_prototypes_are_refused():
    with pytest.raises(HparamsError, match="prototypes is 0"):
        PrototypePooling(6, prototypes=0)
