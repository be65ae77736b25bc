"""Blocks: initialisation, counts, masks, and the mixtures' naive loop."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from petl_modules.blocks import (
    AdapterBias,
    Bottleneck,
    Conformer,
    ConvPass,
    DenseMoA,
    DoRA,
    GCLoRA,
    LayerAdapter,
    LowRank,
    MambAdapter,
    PiSSA,
    SoftMoA,
    bottleneck_size,
)

D = 32
EXPERTS = {
    "bottleneck": partial(Bottleneck, reduction=4),
    "convpass": partial(ConvPass, reduction=4),
    "conformer": partial(Conformer, reduction=4, kernel_size=5),
}
LOW_RANK = partial(LowRank, rank=4, alpha=2.0)
BLOCKS = {
    **EXPERTS,
    "adapter-bias": AdapterBias,
    "bottleneck-norm": partial(Bottleneck, reduction=4, output_norm=True),
    "conformer-even": partial(Conformer, reduction=4, kernel_size=8),
    "conformer-norm": partial(Conformer, reduction=4, input_norm=True),
    "dense-lora": partial(DenseMoA, expert=LOW_RANK, experts=3),
    "gc-lora": partial(GCLoRA, rank=4, alpha=0.5, kernel_size=5),
    "gc-lora-even": partial(GCLoRA, rank=4, alpha=0.5, kernel_size=8, groups=2),
    "low-rank": LOW_RANK,
    "mambadapter": partial(MambAdapter, reduction=4),
    "soft-lora": partial(SoftMoA, expert=LOW_RANK, experts=3, slots=2),
    **{
        f"dense-{name}": partial(DenseMoA, expert=expert, experts=3)
        for name, expert in EXPERTS.items()
    },
    **{
        f"soft-{name}": partial(SoftMoA, expert=expert, experts=3, slots=2)
        for name, expert in EXPERTS.items()
    },
    "soft-normalize": partial(
        SoftMoA, expert=EXPERTS["bottleneck"], experts=3, normalize=True
    ),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    torch.manual_seed(0)
    return BLOCKS[request.param](D)


def randomise(module):
    """Draws all parameters and statistics, so that nothing is silent."""
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1)
    return module


def test_silent_at_step_0(block):
    out = block(torch.randn(2, 9, D))
    assert out.shape == (2, 9, D)
    assert not out.any()


def test_every_parameter_learns_within_two_steps(block):
    optimizer = torch.optim.SGD(block.parameters(), lr=1.0)
    x, target = torch.randn(4, 9, D), torch.randn(4, 9, D)
    moved = set()
    for _ in range(2):
        optimizer.zero_grad()
        (block(x) * target).sum().backward()
        optimizer.step()
        moved |= {n for n, p in block.named_parameters() if p.grad.any()}
    # A convolution's bias in front of BatchNorm changes nothing
    still = {n for n, _ in block.named_parameters()} - moved
    assert all(name.endswith("depthwise.bias") for name in still)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_clip_alone_equals_the_clip_padded(block, mode):
    """In eval mode for all; statistics of a batch need the same batch."""
    randomise(block).train(mode == "train")
    for module in block.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    x = torch.randn(1, 6, D)
    alone = block(x)
    padded = torch.cat([x, 1e3 * torch.randn(1, 5, D)], 1)
    mask = torch.arange(11).unsqueeze(0) < 6
    together = block(padded, mask)[:, :6]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_batch_norm_statistics_leave_padding_out():
    padded, plain = (
        Conformer(D, reduction=4, kernel_size=1).train() for _ in range(2)
    )
    plain.load_state_dict(padded.state_dict())
    x, mask = torch.randn(2, 7, D), torch.tensor([[1] * 7, [1] * 3 + [0] * 4])
    padded(x, mask.bool())
    plain(x[mask.bool()].unsqueeze(0))
    torch.testing.assert_close(
        padded.batch_norm.running_var, plain.batch_norm.running_var
    )


def test_a_full_mask_changes_nothing(block):
    randomise(block).eval()
    x = torch.randn(2, 9, D)
    mask = torch.ones(2, 9, dtype=torch.bool)
    torch.testing.assert_close(block(x, mask), block(x))


def take_apart(block, single):
    """The experts of a mixture one by one, and its router.

    Functions of the mixture's own tensors; ``single`` is any one expert.
    """
    if isinstance(block.experts, nn.ModuleList):
        return list(block.experts), getattr(block, "router", None)
    own, d, r = (
        block.experts,
        single.down_proj.in_features,
        single.down_proj.out_features,
    )
    n = len(own.up_proj) // (r + 1)
    values = {
        "down_proj.weight": own.down_proj[: n * r].view(n, r, d),
        "down_proj.bias": own.down_proj_bias[: n * r].view(n, r),
        "up_proj.weight": own.up_proj[: n * r].view(n, r, d).mT,
        "up_proj.bias": own.up_proj[n * r :],
    }
    for name, value in own.inner.named_parameters():
        values[f"inner.{name}"] = value.view(n, -1, *value.shape[1:])
    experts = [
        partial(functional_call, single, {k: v[i] for k, v in values.items()})
        for i in range(n)
    ]
    router = (own.down_proj[n * r :], own.down_proj_bias[n * r :])
    return experts, partial(F.linear, weight=router[0], bias=router[1])


def naive_dense(block, single, x):
    experts, router = take_apart(block, single)
    weights = router(x).softmax(-1)
    parts = [e(x) * weights[..., i, None] for i, e in enumerate(experts)]
    return torch.stack(parts).sum(0)


def naive_soft(block, single, x):
    """Clip by clip and slot by slot, from the formula."""
    phi = block.phi
    if block.scale is not None:
        x = x / (x.norm(dim=-1, keepdim=True) + 1e-6)
        phi = block.scale * phi / (phi.norm(dim=0, keepdim=True) + 1e-6)
    outs = []
    for clip in x:
        logits = torch.einsum("td,dns->tns", clip, phi)
        dispatch = logits.softmax(0)
        combine = logits.flatten(1).softmax(1).view_as(logits)
        out = torch.zeros_like(clip)
        for n, expert in enumerate(take_apart(block, single)[0]):
            slots = dispatch[:, n].T @ clip
            out += combine[:, n] @ expert(slots.unsqueeze(0))[0]
        outs.append(out)
    return torch.stack(outs)


@pytest.mark.parametrize("expert", EXPERTS)
@pytest.mark.parametrize("n_experts", [1, 7])
@pytest.mark.parametrize(
    ("mixture", "naive"),
    [
        (DenseMoA, naive_dense),
        (partial(SoftMoA, slots=1), naive_soft),
        (partial(SoftMoA, slots=3), naive_soft),
        (partial(SoftMoA, slots=2, normalize=True), naive_soft),
    ],
    ids=["dense", "soft-1", "soft-3", "soft-normalize"],
)
def test_mixtures_equal_the_naive_loop(mixture, naive, expert, n_experts):
    torch.manual_seed(1)
    block = mixture(D, expert=EXPERTS[expert], experts=n_experts).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 9, D)
    single = EXPERTS[expert](D).eval()
    out, expected = block(x), naive(block, single, x)
    assert (out - expected).abs().max() <= 1e-6 * expected.abs().max()
    ours = torch.autograd.grad(out.square().sum(), block.parameters())
    theirs = torch.autograd.grad(expected.square().sum(), block.parameters())
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_dense_moa_holds_nothing_of_full_width_for_each_expert():
    batch, time, d_model, experts = 2, 50, 128, 9
    expert = partial(Bottleneck, reduction=16)
    block = DenseMoA(d_model, expert=expert, experts=experts)
    saved = []
    x = torch.randn(batch, time, d_model, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.numel()) or tensor, lambda t: t
    ):
        block(x)
    assert sum(saved) < batch * time * d_model * experts


@pytest.mark.parametrize("mixture", [DenseMoA, SoftMoA])
@pytest.mark.parametrize("expert", ["bottleneck", "convpass"])
def test_experts_are_those_drawn_one_by_one(mixture, expert):
    make = partial(EXPERTS[expert], init_std=0.02)
    torch.manual_seed(2)
    drawn = [make(D).eval() for _ in range(3)]
    torch.manual_seed(2)
    block = mixture(D, expert=make, experts=3)
    x = torch.randn(2, 9, D)
    for one, other in zip(drawn, take_apart(block, make(D).eval())[0]):
        assert torch.equal(one(x), other(x))


def test_experts_in_few_tensors():
    """The time of a step grows with their number."""
    for mixture, tensors in ((DenseMoA, 3), (SoftMoA, 4)):
        block = mixture(D, expert=EXPERTS["bottleneck"], experts=15)
        assert len(list(block.parameters())) == tensors


@pytest.mark.parametrize("mixture", [DenseMoA, partial(SoftMoA, slots=2)])
@pytest.mark.parametrize("expert", ["bottleneck", "convpass"])
def test_every_number_of_every_expert_learns(mixture, expert):
    """What a gradient of a tensor of many experts does not say."""
    torch.manual_seed(0)
    block = mixture(D, expert=partial(EXPERTS[expert], init_std=0.02))
    block(torch.randn(4, 9, D)).square().sum().backward()
    assert all(p.grad.all() for p in block.parameters())


def test_experts_of_two_kinds_are_not_computed_all_at_once():
    torch.manual_seed(0)
    kinds = [Bottleneck, ConvPass] * 2

    def expert(d_in, d_out):
        return kinds.pop()(d_in, d_out, reduction=4, init_std=0.02)

    block = DenseMoA(D, expert=expert, experts=4).eval()
    x = torch.randn(2, 9, D)
    torch.testing.assert_close(block(x), naive_dense(block, None, x))


def test_another_forward_is_not_computed_all_at_once():
    class Doubled(Bottleneck):
        def forward(self, x, mask=None):
            return 2 * super().forward(x, mask)

    torch.manual_seed(0)
    expert = partial(Doubled, reduction=4, init_std=0.02)
    block = DenseMoA(D, expert=expert, experts=2)
    x = torch.randn(2, 9, D)
    expected = naive_dense(block, None, x)
    torch.testing.assert_close(block(x), expected)


def test_adapter_bias_equals_its_formula():
    block = randomise(AdapterBias(3 * D, D))
    x = torch.randn(2, 9, 3 * D)
    expected = torch.empty(2, 9, D)
    for clip, frame in [(c, t) for c in range(2) for t in range(9)]:
        number = block.alpha.weight[0] @ x[clip, frame] + block.alpha.bias
        expected[clip, frame] = number * block.vector
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_e_adapter_equals_its_formula(scale):
    block = Bottleneck(D, reduction=4, output_norm=True, scale=scale)
    x, norm = torch.randn(2, 9, D), randomise(block).output_norm
    h = F.gelu(x @ block.down_proj.weight.T + block.down_proj.bias)
    h = h @ block.up_proj.weight.T + block.up_proj.bias
    h = F.layer_norm(h, (D,), norm.weight, norm.bias)
    torch.testing.assert_close(block(x), scale * h)


def test_e_adapter_starts_near_0_and_not_at_it():
    torch.manual_seed(0)
    small = {"init_std": 1e-3, "down_std": 1e-3, "output_norm": True}
    out = Bottleneck(768, reduction=3, **small)(torch.randn(4, 50, 768))
    assert out.std().item() == pytest.approx(0.07, rel=0.1)


def test_experts_with_a_norm_are_not_computed_all_at_once():
    """The norm stands behind each expert, not behind their sum."""
    expert = partial(Bottleneck, reduction=4, output_norm=True)
    block = randomise(DenseMoA(D, expert=expert, experts=3))
    x = torch.randn(2, 9, D)
    expected = naive_dense(block, None, x)
    torch.testing.assert_close(block(x), expected)


def test_conformer_equals_its_formula():
    torch.manual_seed(0)
    block = Conformer(D, reduction=4, kernel_size=8, input_norm=True)
    randomise(block).eval()
    x = torch.randn(2, 9, D)
    h = F.layer_norm(x, (D,), block.norm.weight, block.norm.bias)
    h = F.conv1d(
        h.mT, block.pointwise_in.weight[..., None], block.pointwise_in.bias
    )
    h = h[:, :8] * h[:, 8:].sigmoid()
    h = F.pad(h, (3, 4))  # "same" for a kernel of 8
    h = F.conv1d(h, block.depthwise.weight, block.depthwise.bias, groups=8)
    norm = block.batch_norm
    h = F.batch_norm(
        h, norm.running_mean, norm.running_var, norm.weight, norm.bias
    )
    h = h * h.sigmoid()
    h = F.conv1d(
        h, block.pointwise_out.weight[..., None], block.pointwise_out.bias
    )
    torch.testing.assert_close(block(x), h.mT, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bottleneck", "convpass"])
def test_init_std_wakes_the_up_projection(name):
    block = EXPERTS[name](768, init_std=0.02)
    assert block.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)


def count(block):
    return sum(p.numel() for p in block.parameters())


def test_counts_follow_the_formulas():
    d, r, k, n, s = 768, 12, 31, 7, 2
    bottleneck = 2 * d * r + r + d
    convpass = bottleneck + 3 * r * r + r
    conformer = 2 * d * r + 2 * r + k * r + r + 2 * r + r * d + d
    assert count(Bottleneck(d, reduction=64)) == bottleneck
    assert count(ConvPass(d, reduction=64)) == convpass
    assert count(Conformer(d, reduction=64, kernel_size=k)) == conformer
    normed = Conformer(d, reduction=64, kernel_size=k, input_norm=True)
    assert count(normed) == conformer + 2 * d
    normed = Bottleneck(d, reduction=3, output_norm=True)
    assert count(normed) == 2 * d * 256 + 256 + d + 2 * d == 395_776
    assert count(AdapterBias(d)) == 2 * d + 1
    assert count(LayerAdapter(d)) == d * 512 + 512 + 2 * 512 == 394_752
    expert = partial(Bottleneck, reduction=64)
    dense = DenseMoA(d, expert=expert, experts=n)
    assert count(dense) == n * bottleneck + d * n + n
    for normalize in (False, True):
        soft = SoftMoA(
            d, expert=expert, experts=n, slots=s, normalize=normalize
        )
        assert count(soft) == n * bottleneck + d * n * s + normalize
    lora = partial(LowRank, rank=r)  # without biases; the router has one
    dense = DenseMoA(d, 4 * d, expert=lora, experts=n)
    assert count(dense) == n * r * (d + 4 * d) + d * n + n
    soft = SoftMoA(d, 4 * d, expert=lora, experts=n, slots=s)
    assert count(soft) == n * r * (d + 4 * d) + d * n * s
    inside = r * 2 * r + 2 * r + k * r + r + 2 * r + r * r + r
    assert count(GCLoRA(d, 4 * d, rank=r)) == r * (d + 4 * d) + inside


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Bottleneck(64, reduction=65), "reduction 65"),
        (lambda: Bottleneck(64, reduction=4, down_std=0), "down_std is 0"),
        (lambda: bottleneck_size(64, 0), "reduction 0"),
        (lambda: Conformer(64, kernel_size=0, reduction=8), "kernel_size 0"),
        (lambda: DenseMoA(64, expert=Bottleneck, experts=0), "experts is 0"),
        (lambda: SoftMoA(64, expert=Bottleneck, experts=0), "experts is 0"),
        (lambda: SoftMoA(64, expert=Bottleneck, slots=0), "slots is 0"),
        (lambda: DenseMoA(64, expert=DoRA), "DoRA needs the weight"),
        (lambda: SoftMoA(64, expert=PiSSA), "PiSSA needs the weight"),
        (lambda: GCLoRA(64, kernel_size=0), "kernel_size 0"),
        (lambda: GCLoRA(64, rank=65), "rank is 65"),
        (lambda: GCLoRA(64, rank=8, groups=3), "groups is 3"),
    ],
)
def test_what_cannot_work_is_an_error(make, words):
    with pytest.raises(ValueError, match=words):
        make()
