"""Mamba and MambAdapter, against a naive loop and transformers' own module."""

import pytest
import torch
from test_blocks import count
from torch import nn
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from petl_modules.blocks import Mamba, MambAdapter
from petl_modules.blocks.selective_scan import selective_scan

LENGTHS = [1, 2, 16, 17, 64, 65, 150]


def naive_scan(u, dt, a, b, c):
    """Frame by frame, from the formula."""
    state, outputs = torch.zeros(u.shape[0], *a.shape).to(u), []
    for t in range(u.shape[1]):
        new = (dt[:, t] * u[:, t]).unsqueeze(-1) * b[:, t].unsqueeze(1)
        state = torch.exp(dt[:, t].unsqueeze(-1) * a) * state + new
        outputs.append((state * c[:, t].unsqueeze(1)).sum(-1))
    return torch.stack(outputs, 1)


def arguments(time, channels=3, states=4, dtype=torch.float64):
    """Arguments of a scan, of two clips."""
    torch.manual_seed(time)
    drawn = (
        torch.randn(2, time, channels, dtype=dtype),
        torch.rand(2, time, channels, dtype=dtype),
        -4 * torch.rand(channels, states, dtype=dtype),
        torch.randn(2, time, states, dtype=dtype),
        torch.randn(2, time, states, dtype=dtype),
    )
    return [value.requires_grad_() for value in drawn]


@pytest.mark.parametrize("time", LENGTHS)
def test_scan_and_its_gradients_equal_the_naive_loop(time):
    given = arguments(time)
    found, wanted = selective_scan(*given), naive_scan(*given)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    by = torch.randn_like(wanted)
    for ours, theirs in zip(
        torch.autograd.grad(found, given, by),
        torch.autograd.grad(wanted, given, by),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("time", [5, 70])
def test_scan_passes_gradcheck(time):
    given = arguments(time)
    assert torch.autograd.gradcheck(selective_scan, given, fast_mode=True)


def test_a_second_derivative_is_an_error():
    given = arguments(3)
    (grad,) = torch.autograd.grad(
        selective_scan(*given).square().sum(), given[0], create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("time", LENGTHS)
def test_what_a_compiler_gets_is_the_same(time, monkeypatch):
    given = arguments(time)
    wanted = selective_scan(*given)
    by = torch.randn_like(wanted)
    theirs = torch.autograd.grad(wanted, given, by)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    found = selective_scan(*given)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for one, other in zip(torch.autograd.grad(found, given, by), theirs):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_scan_is_stable_over_1200_tokens(scale):
    """Decays near 1, and those whose products are 0 in float32."""
    given = arguments(1200, 4, 16)
    given[1] = (scale * given[1]).detach().requires_grad_()
    single = [value.detach().float().requires_grad_() for value in given]
    wanted, found = naive_scan(*given), selective_scan(*single)
    largest = wanted.abs().max()
    assert (found - wanted).abs().max() < 2e-5 * largest
    found.square().mean().backward()
    wanted.square().mean().backward()
    for ours, theirs in zip(single, given):
        gap = (ours.grad - theirs.grad).abs().max()
        assert gap < 1e-4 * theirs.grad.abs().max()


def peer(mamba):
    """transformers' module with the same weights."""
    width, inner = mamba.in_proj.in_features, len(mamba.D)
    config = MambaConfig(
        hidden_size=width,
        expand=inner // width,
        state_size=mamba.A_log.shape[1],
        conv_kernel=mamba.conv1d.kernel_size[0],
        time_step_rank=mamba.dt_proj.in_features,
        num_hidden_layers=1,
        use_bias=False,
    )
    module = MambaMixer(config, 0).to(mamba.D.dtype)
    module.load_state_dict(mamba.state_dict())
    return module


@pytest.mark.parametrize(
    "sizes",
    [
        {"d_model": 12},
        {"d_model": 40, "d_state": 5, "d_conv": 3, "expand": 3},
    ],
)
def test_mamba_equals_the_one_of_transformers(sizes):
    torch.manual_seed(0)
    ours = Mamba(**sizes).double()
    theirs = peer(ours)
    x = torch.randn(2, 70, sizes["d_model"], dtype=torch.float64)
    found, wanted = ours(x), theirs(x)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for name, parameter in ours.named_parameters():
        same = theirs.get_parameter(name).grad
        largest = same.abs().max()
        assert (parameter.grad - same).abs().max() < 1e-6 * largest, name


def test_mambadapter_equals_its_formula():
    torch.manual_seed(0)
    block = MambAdapter(32, 48, reduction=4, init_std=0.5, alpha=0.3).double()
    x = torch.randn(2, 70, 32, dtype=torch.float64)
    inside = peer(block.mamba)(block.down_proj(x))
    expected = 0.3 * block.up_proj(inside)
    torch.testing.assert_close(block.eval()(x), expected, rtol=1e-6, atol=1e-9)


def test_a_frame_depends_on_none_behind_it():
    torch.manual_seed(0)
    mamba, x = Mamba(8), torch.randn(1, 150, 8)
    changed = x.clone()
    changed[:, 70:] = float("nan")
    found = mamba(changed)
    torch.testing.assert_close(found[:, :70], mamba(x)[:, :70])
    assert found[:, 70:].isnan().all()


def test_autocast_leaves_the_recurrence_in_float32():
    torch.manual_seed(0)
    mamba, x = Mamba(8), torch.randn(2, 20, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = mamba(x)
    assert found.dtype == torch.float32 and torch.equal(found, mamba(x))


def test_it_compiles_without_a_graph_break():
    torch.manual_seed(0)
    block, x = MambAdapter(32, reduction=4, init_std=0.5).eval(), []
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    grads = []
    for run in (block, compiled):
        block.zero_grad()
        torch.manual_seed(1)
        out = run(torch.randn(2, 70, 32))
        out.square().sum().backward()
        x.append(out.detach())
        grads.append([p.grad.clone() for p in block.parameters()])
    torch.testing.assert_close(*x)
    for one, other in zip(*grads):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_states_are_kept_for_the_backward_pass():
    block, x = MambAdapter(768, reduction=64), torch.randn(2, 600, 768)
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.update({t.data_ptr(): t.numel()}) or t, lambda t: t
    ):
        block(x)
    kept.pop(x.data_ptr())
    weights = {p.data_ptr() for p in block.parameters()}
    rest = sum(n for pointer, n in kept.items() if pointer not in weights)
    assert rest < 2 * 600 * 24 * 16  # the states alone


def test_initialisation():
    torch.manual_seed(0)
    block = MambAdapter(768, reduction=2, d_state=4)
    mamba = block.mamba
    step = nn.functional.softplus(mamba.dt_proj.bias)
    assert 1e-3 <= step.min() < 1.1e-3 and 0.09 < step.max() <= 0.1
    assert step.log().mean().item() == pytest.approx(-4.6, abs=0.1)
    for row in mamba.A_log.exp():
        torch.testing.assert_close(row, torch.arange(1.0, 5.0))
    assert (mamba.D == 1).all() and block.alpha.item() == pytest.approx(0.1)
    std = block.down_proj.weight.std().item()
    assert std == pytest.approx(0.01, rel=0.02)
    wanted = (2 / (384 + 1536)) ** 0.5  # Xavier
    assert mamba.in_proj.weight.std().item() == pytest.approx(wanted, rel=0.02)
    small = MambAdapter(768, reduction=2, gain=0.02).mamba.in_proj.weight
    assert small.std().item() == pytest.approx(0.02 * wanted, rel=0.02)


def test_the_published_gain_leaves_the_block_nearly_without_gradients():
    """Which is why it is not the default: Adam's eps is 1e-6."""
    largest = {}
    for gain in (0.02, 1.0):
        torch.manual_seed(0)
        block = MambAdapter(768, reduction=64, gain=gain)
        block(torch.randn(8, 50, 768)).mean(1).sum().backward()
        largest[gain] = block.up_proj.weight.grad.abs().max().item()
    assert largest[0.02] < 1e-9 < 1e-5 < largest[1.0]


def test_counts_are_those_of_the_paper():
    d, r, n, k = 768, 12, 16, 4
    inner, rank, places = 2 * r, 1, 12
    mamba = 2 * r * inner + k * inner + inner + inner * (rank + 2 * n)
    mamba += rank * inner + inner + inner * n + inner + inner * r
    projections = 2 * d * r + r + d
    block = MambAdapter(d, reduction=64)
    assert count(block.mamba) == mamba == 2_232
    assert count(block) == mamba + 1 + projections
    assert projections == 19_212
    assert places * (mamba + 1) + projections == 46_008  # Pfeiffer
    assert 2 * places * (mamba + 1) + projections == 72_804  # Houlsby
    norms = 2 * d * (places + 1)
    assert places * (mamba + projections) + norms == 277_296  # not shared


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reduction": 65}, "reduction 65"),
        ({"d_state": 0}, "d_state is 0"),
        ({"d_conv": 0}, "d_conv is 0"),
        ({"expand": 0}, "expand is 0"),
        ({"gain": 0.0}, "gain is 0.0: it must be above 0"),
        ({"down_std": 0.0}, "down_std is 0.0: it must be above 0"),
    ],
)
def test_what_cannot_work_is_an_error(values, words):
    with pytest.raises(ValueError, match=words):
        MambAdapter(64, **{"reduction": 8, **values})
