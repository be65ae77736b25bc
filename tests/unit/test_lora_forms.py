"""DoRA, PiSSA, HiRA, rsLoRA and (IA)3 against peft on the same weights."""

import math

import pytest
import torch
from peft import HiraConfig, IA3Config, LoraConfig, inject_adapter_in_model

from petl_modules.backbones import AST
from petl_modules.blocks import DoRA, HiRA, LowRank, PiSSA, Scale
from petl_modules.methods import (
    IA3,
    SSF,
    LoRA,
)
from tests.models import classifier

FRAMES, RANK, ALPHA = 100, 4, 6.0
SITES = {
    "query": "q_proj",
    "value": "v_proj",
    "output": "o_proj",
    "ffn_in": "fc1",
    "ffn_out": "fc2",
}
HERE = {"at": [*SITES], "rank": RANK}
THERE = {"target_modules": [*SITES.values()], "r": RANK}
RS = ALPHA * math.sqrt(RANK)
# By name: our method, and peft's configuration
CASES = {
    "lora": (
        LoRA(**HERE, alpha=ALPHA),
        LoraConfig(**THERE, lora_alpha=ALPHA),
    ),
    "rslora": (
        LoRA(**HERE, alpha=RS),
        LoraConfig(**THERE, lora_alpha=ALPHA, use_rslora=True),
    ),
    "dora": (
        LoRA(**HERE, alpha=ALPHA, form=DoRA),
        LoraConfig(**THERE, lora_alpha=ALPHA, use_dora=True),
    ),
    "pissa": (
        LoRA(**HERE, alpha=ALPHA, form=PiSSA),
        LoraConfig(**THERE, lora_alpha=ALPHA, init_lora_weights="pissa"),
    ),
    "hira": (
        LoRA(**HERE, alpha=RANK, form=HiRA),
        HiraConfig(**THERE),
    ),
    "ia3": (
        IA3(),
        IA3Config(
            target_modules=["k_proj", "v_proj", "fc2"],
            feedforward_modules=["fc2"],
        ),
    ),
}
FORMS = ("dora", "pissa", "hira", "ia3")
# What mathematics makes zero: attention does not see a shift of all keys
UNSEEN = "k_proj.block.block.shift"


@pytest.fixture
def inputs():
    return torch.randn(
        2, FRAMES, 128, generator=torch.Generator().manual_seed(1)
    )


def build(folder, method, **settings):
    torch.manual_seed(0)
    backbone = AST(folder, FRAMES)
    return classifier(backbone, ["a", "b"], [method], **settings)


def draw(module, std=0.1):
    """Change what is trained of a module, the same in every call."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += std * noise


def peer(folder, config):
    """Return our encoder with peft's adapter in it, changed."""
    torch.manual_seed(0)
    encoder = AST(folder, FRAMES).requires_grad_(False)
    inject_adapter_in_model(config, encoder.model)
    starts = {
        name: value.detach().clone()
        for name, value in encoder.model.named_parameters()
    }
    draw(encoder.model)
    return encoder, starts


def pairs(block, layer, starts, path):
    """Yield what is trained here, what is there, and what there was first.

    Ours is the change since then.
    """

    def of(holder, name):
        value = getattr(layer, holder)["default"]
        value = getattr(value, "weight", value)
        return value, starts[f"{path}.{name}"]

    if isinstance(block, Scale):
        yield block.scale, *of("ia3_l", "ia3_l.default")
        return
    low_rank = getattr(block, "low_rank", block)
    kind = "hira" if isinstance(block, HiRA) else "lora"
    for ours, letter in ((low_rank.lora_a, "A"), (low_rank.lora_b, "B")):
        end = "" if kind == "hira" else ".weight"
        name = f"{kind}_{letter}.default{end}"
        theirs, start = of(f"{kind}_{letter}", name)
        changes = isinstance(block, PiSSA)
        yield ours.weight, theirs, start if changes else torch.zeros(())
    if isinstance(block, DoRA):
        name = "lora_magnitude_vector.default.weight"
        yield block.magnitude, *of("lora_magnitude_vector", name)


def set_as(model, encoder, starts):
    """Give our blocks the weights of peft's; return pairs of parameters."""
    both = []
    sites = model.encoder.backbone.sites
    for name, path in model.encoder.inserted.items():
        block = model.encoder.get_submodule(path)
        there = sites.path(name.partition(".")[2])
        layer = encoder.model.get_submodule(there)
        for ours, theirs, start in pairs(block, layer, starts, there):
            change = (theirs.detach() - start).reshape(ours.shape)
            ours.data.copy_(change)
            both.append((ours, theirs))
        if isinstance(block, PiSSA):
            start = starts[f"{there}.lora_A.default.weight"]
            block.start_a.copy_(start)
            block.start_b.copy_(starts[f"{there}.lora_B.default.weight"])
    return both


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_peft(case, tiny_ast, inputs):
    method, config = CASES[case]
    encoder, starts = peer(tiny_ast, config)
    model = build(tiny_ast, method, train_norms=False)
    both = set_as(model, encoder, starts)
    trained = [p for p in encoder.model.parameters() if p.requires_grad]
    assert {id(theirs) for _, theirs in both} == {*map(id, trained)}
    found, wanted = model.encoder.backbone(inputs), encoder(inputs)
    assert (wanted - AST(tiny_ast, FRAMES)(inputs)).abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    weights = torch.randn(
        found.shape, generator=torch.Generator().manual_seed(3)
    )
    for hidden in (found, wanted):
        (hidden * weights).sum().backward()
    for ours, theirs in both:
        grad = theirs.grad.reshape(ours.shape)
        assert grad.abs().max() > 1e-4
        near = 1e-5 * max(1.0, grad.abs().max().item())
        torch.testing.assert_close(ours.grad, grad, rtol=1e-5, atol=near)


def every():
    """Our methods, by name."""
    return {name: method for name, (method, _) in CASES.items()} | {
        "ssf": SSF()
    }


# Counts at AST-base's widths: 12 layers, 768 and 3,072


@pytest.mark.parametrize(
    ("method", "count"),
    [
        (LoRA(form=LowRank), 12 * 2 * 6 * 2 * 768),
        (LoRA(form=DoRA), 12 * 2 * (6 * 2 * 768 + 768)),
        (LoRA(form=HiRA), 221_184),
        (IA3(), 12 * (768 + 768 + 3072)),
        (SSF(), 12 * 2 * (2 * 768 + 5 * 768 + 3072)),
    ],
)
def test_counts(method, count, base_sites):
    blocks = [insertion.block for insertion in method.insertions(base_sites)]
    found = sum(p.numel() for block in blocks for p in block.parameters())
    assert found == count


@pytest.fixture(scope="module")
def base_sites():
    """The sites of AST-base, without weights."""
    from transformers import ASTConfig, ASTModel

    from petl_modules.backbones import Sites

    with torch.device("meta"):
        return Sites(ASTModel(ASTConfig()))
