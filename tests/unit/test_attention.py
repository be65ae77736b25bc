"""Prefixes and prompts under padding masks, against attention by hand."""

import pytest
import torch
from transformers import ASTModel

from petl_modules.backbones.attention import ATTENTION, petl_sdpa
from petl_modules.methods.prefix_tuning import Prefix


@pytest.fixture
def module():
    """What stands for an encoder's attention module."""
    module = torch.nn.Module()
    module.is_causal = False
    return module


@pytest.fixture
def states():
    torch.manual_seed(0)
    return [torch.randn(2, 2, 5, 4) for _ in range(3)]  # b heads t d_head


@pytest.fixture
def mask():
    """The second clip has three real frames."""
    seen = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    return seen[:, None, None, :].expand(2, 1, 5, 5)


def by_hand(query, key, value, seen):
    weights = query @ key.mT / key.shape[-1] ** 0.5
    weights = weights.masked_fill(~seen, float("-inf")).softmax(-1)
    return (weights @ value).transpose(1, 2)


def test_stock_attention_without_prefix(module, states, mask):
    out, _ = petl_sdpa(module, *states, mask)
    torch.testing.assert_close(out, by_hand(*states, mask))


@pytest.mark.parametrize("masked", [True, False])
def test_prefix_is_seen_by_every_query(module, states, mask, masked):
    module.prefix = Prefix(6, d_model=8, bound=1.0)
    query, key, value = states
    keys, values = (
        torch.cat([p.view(3, 2, 4).transpose(0, 1).expand(2, -1, -1, -1), s], 2)
        for p, s in ((module.prefix.key, key), (module.prefix.value, value))
    )
    seen = torch.ones(2, 1, 5, 8, dtype=torch.bool)
    if masked:
        seen[..., 3:] = mask
    out, _ = petl_sdpa(module, *states, mask if masked else None)
    torch.testing.assert_close(out, by_hand(query, keys, values, seen))


def test_a_mask_made_before_prompts_came_in_is_widened(module, states, mask):
    prompted = [torch.cat([torch.randn(2, 2, 3, 4), s], 2) for s in states]
    seen = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    seen[..., 3:] = mask[:, :, :1]
    out, _ = petl_sdpa(module, *prompted, mask)
    torch.testing.assert_close(out, by_hand(*prompted, seen))


def test_a_padding_mask_reaches_it_in_a_model(tiny_ast):
    """An attention function without a mask function would get None."""
    torch.manual_seed(0)
    x, tokens = torch.randn(2, 1024, 128), 2 + 8 * 64
    mask = torch.ones(2, tokens, dtype=torch.long)
    mask[1, 300:] = 0
    outs = [
        ASTModel.from_pretrained(tiny_ast, attn_implementation=name)
        .eval()(x, attention_mask=mask)
        .last_hidden_state
        for name in ("eager", ATTENTION)
    ]
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_only_what_may_be_padded_has_a_mask(masked, tiny_ast, monkeypatch):
    """Flash attention takes none; all of one value, it is still made."""
    masks, sdpa = [], torch.nn.functional.scaled_dot_product_attention

    def spied(*states, attn_mask=None, **kwargs):
        masks.append(attn_mask)
        return sdpa(*states, attn_mask=attn_mask, **kwargs)

    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", spied
    )
    model = ASTModel.from_pretrained(
        tiny_ast, attn_implementation=ATTENTION
    ).eval()
    whole = torch.ones(2, 2 + 8 * 64, dtype=torch.long)
    model(torch.zeros(2, 1024, 128), attention_mask=whole if masked else None)
    assert [mask is not None for mask in masks] == [masked, masked]
