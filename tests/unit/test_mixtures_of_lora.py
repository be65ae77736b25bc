"""Mixtures of LoRA, and GC-LoRA: against loops from their formulas, in float64."""

from functools import partial

import pytest
import torch
from torch import nn

from petl_modules.blocks import DenseMoA, GCLoRA, LowRank, SoftMoA

D_IN, D_OUT, RANK, ALPHA = 12, 20, 3, 1.5
SCALE = ALPHA / RANK
EXPERT = partial(LowRank, rank=RANK, alpha=ALPHA)


def draw(block):
    """The block in float64, with nothing in it that is silent."""
    generator = torch.Generator().manual_seed(1)
    for parameter in block.double().parameters():
        noise = torch.randn(parameter.shape, generator=generator).double()
        parameter.data = 0.5 * noise
    return block


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 7, D_IN, generator=generator).double()


def softmax(numbers):
    powers = [number.exp() for number in numbers]
    return [power / sum(powers) for power in powers]


def factors(block, n):
    """A and B of each expert."""
    own = block.experts
    rows = [slice(e * RANK, (e + 1) * RANK) for e in range(n)]
    return [(own.down_proj[r], own.up_proj[r].t()) for r in rows]


def naive_dense(block, x, n):
    """Token by token and expert by expert."""
    routers = block.experts.down_proj[n * RANK :]
    out = []
    for token in x.reshape(-1, D_IN):
        logits = [
            w @ token + b for w, b in zip(routers, block.experts.down_proj_bias)
        ]
        parts = [
            gate * SCALE * (b @ (a @ token))
            for gate, (a, b) in zip(softmax(logits), factors(block, n))
        ]
        out.append(sum(parts))
    return torch.stack(out).view(*x.shape[:2], D_OUT)


def naive_soft(block, x, n, mask=None):
    """Clip by clip, slot by slot and token by token."""
    clips = []
    for number, clip in enumerate(x):
        real = (
            range(len(clip)) if mask is None else mask[number].nonzero()[:, 0]
        )
        slots = [block.phi[:, e, s] for e in range(n) for s in range(2)]
        mapped = []
        for place, phi in enumerate(slots):
            weights = softmax([clip[t] @ phi for t in real])
            slot = sum(w * clip[t] for w, t in zip(weights, real))
            a, b = factors(block, n)[place // 2]
            mapped.append(SCALE * (b @ (a @ slot)))
        for token in clip:
            weights = softmax([token @ phi for phi in slots])
            clips.append(sum(w * out for w, out in zip(weights, mapped)))
    return torch.stack(clips).view(*x.shape[:2], D_OUT)


def require_same(block, found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    weights = torch.sin(torch.arange(wanted.numel())).view(wanted.shape)
    gradients = [
        torch.autograd.grad((out * weights).sum(), block.parameters())
        for out in (found, wanted)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 4])
def test_dense_moa_over_lora_equals_the_loop(n, x):
    block = draw(DenseMoA(D_IN, D_OUT, expert=EXPERT, experts=n))
    require_same(block, block(x), naive_dense(block, x, n))


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_soft_moa_over_lora_equals_the_loop(n, padded, x):
    block = draw(SoftMoA(D_IN, D_OUT, expert=EXPERT, experts=n, slots=2))
    mask = torch.arange(7) < torch.tensor([[7], [4]]) if padded else None
    require_same(block, block(x, mask), naive_soft(block, x, n, mask))


def test_one_expert_is_lora(x):
    """A softmax over one expert is 1."""
    block = draw(DenseMoA(D_IN, D_OUT, expert=EXPERT, experts=1))
    lora = LowRank(D_IN, D_OUT, rank=RANK, alpha=ALPHA).double()
    [(a, b)] = factors(block, 1)
    lora.lora_a.weight.data, lora.lora_b.weight.data = a.detach(), b.detach()
    torch.testing.assert_close(block(x), lora(x))


def test_experts_are_lora_drawn_one_by_one():
    torch.manual_seed(3)
    drawn = [EXPERT(D_IN, D_OUT) for _ in range(4)]
    torch.manual_seed(3)
    block = DenseMoA(D_IN, D_OUT, expert=EXPERT, experts=4)
    for one, (a, b) in zip(drawn, factors(block, 4)):
        assert torch.equal(one.lora_a.weight, a)
        assert torch.equal(one.lora_b.weight, b)


@pytest.mark.parametrize(("mixture", "tensors"), [(DenseMoA, 3), (SoftMoA, 3)])
def test_mixtures_hold_few_tensors(mixture, tensors):
    block = mixture(D_IN, D_OUT, expert=EXPERT, experts=9)
    assert len([*block.parameters()]) == tensors


@pytest.mark.parametrize("mixture", [DenseMoA, partial(SoftMoA, slots=2)])
def test_every_number_of_every_expert_learns(mixture, x):
    block = draw(mixture(D_IN, D_OUT, expert=EXPERT, experts=4))
    block(x).square().sum().backward()
    assert all(parameter.grad.all() for parameter in block.parameters())


# GC-LoRA


def sigmoid(number):
    return 1 / (1 + (-number).exp())


def naive_gc_lora(block, clip, kernel, groups):
    """One clip without padding: frame by frame, channel by channel."""
    frames, left, width = len(clip), (kernel - 1) // 2, RANK + 1
    z = [block.down_proj.weight @ token for token in clip]
    both = [block.pointwise_in(frame) for frame in z]
    gated = [h[:width] * sigmoid(h[width:]) for h in both]
    kernels, bias = block.depthwise.weight[:, 0], block.depthwise.bias
    convolved = [
        bias
        + sum(
            kernels[:, tap] * gated[t + tap - left]
            for tap in range(kernel)
            if 0 <= t + tap - left < frames
        )
        for t in range(frames)
    ]
    stacked, normed = torch.stack(convolved), []
    for group in range(groups):
        own = slice(group * width // groups, (group + 1) * width // groups)
        values = stacked[:, own]
        normed.append(
            (values - values.mean())
            / (values.var(unbiased=False) + 1e-5).sqrt()
            * block.group_norm.weight[own]
            + block.group_norm.bias[own]
        )
    normed = torch.cat(normed, 1)
    active = normed * sigmoid(normed)
    out = [
        a + block.pointwise_out(h) for a, h in zip(z, active)
    ]  # the inner residual
    scale = ALPHA / width
    return torch.stack([scale * block.up_proj.weight @ h for h in out])


def gc_lora(kernel, groups):
    sizes = {"rank": RANK + 1, "alpha": ALPHA}
    sizes |= {"kernel_size": kernel, "groups": groups}
    return draw(GCLoRA(D_IN, D_OUT, **sizes))


@pytest.mark.parametrize(
    ("kernel", "groups"), [(1, 1), (3, 2), (4, 1), (31, 4)]
)
def test_gc_lora_equals_the_loop(kernel, groups, x):
    block = gc_lora(kernel, groups)
    wanted = torch.stack([naive_gc_lora(block, c, kernel, groups) for c in x])
    require_same(block, block(x), wanted)


def test_padding_does_not_leak_into_gc_lora(x):
    """Values and gradients of a padded clip are those of the clip alone."""
    block = gc_lora(5, 1)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    noise = x.clone()
    noise[1, 4:] = 1e6
    noise.requires_grad_()
    found = block(noise, mask)
    alone = naive_gc_lora(block, x[1, :4], 5, 1)
    torch.testing.assert_close(found[1, :4], alone, rtol=1e-10, atol=1e-10)
    found[1, :4].sum().backward()
    assert not noise.grad[1, 4:].any() and noise.grad[1, :4].all()


def test_gc_lora_without_its_convolution_is_lora(x):
    block = gc_lora(31, 1)
    nn.init.zeros_(block.pointwise_out.weight)
    nn.init.zeros_(block.pointwise_out.bias)
    lora = LowRank(D_IN, D_OUT, rank=RANK + 1, alpha=ALPHA).double()
    lora.lora_a.weight.data = block.down_proj.weight.data
    lora.lora_b.weight.data = block.up_proj.weight.data
    torch.testing.assert_close(block(x), lora(x))


def test_a_clip_of_padding_alone_is_finite(x):
    block = gc_lora(5, 1)
    mask = torch.arange(7) < torch.tensor([[7], [0]])
    out = block(x, mask)
    out.sum().backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in block.parameters())


def test_the_norm_is_torchs_where_nothing_is_padded():
    block = gc_lora(3, 2)
    values = torch.randn(2, 9, RANK + 1).double()
    norm = nn.GroupNorm(2, RANK + 1).double()
    norm.load_state_dict(block.group_norm.state_dict())
    wanted = norm(values.mT).mT
    torch.testing.assert_close(block.group_norm(values), wanted)
