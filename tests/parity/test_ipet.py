"""Outputs, gradients and counts against the released modules of IPET."""

import pytest
import torch

from petl_modules.blocks import Bottleneck
from tests.parity import ipet

TOLERANCE = 2e-5
RELATIVE = 1e-4  # of gradients


def largest(one, other):
    return (one - other).abs().max().item()


def without_prompts(hidden, case):
    """On AST ours are behind CLS and distillation, theirs in front."""
    front = 2 if case["backbone"] == "ast" else 0
    back = front + case["settings"]["prompts"]
    return torch.cat([hidden[:, :front], hidden[:, back:]], 1)


@pytest.mark.parametrize("case", ipet.MODELS, ids=lambda case: case["file"])
def test_model_equals_the_released_modules(case, tmp_path):
    tensors = ipet.read(case["file"])
    model, gradients = ipet.build(case, tensors, tmp_path)
    hidden = model.encoder.backbone(tensors["input"])
    pooled = model.embed(tensors["input"])
    found = {
        "hidden": without_prompts(hidden, case),
        "pooled": pooled,
        "output": model.head(pooled),
    }
    if "embedding" in tensors:
        found["embedding"] = model.head[0](pooled)
    errors = {name: largest(found[name], tensors[name]) for name in found}
    print({name: f"{error:.1e}" for name, error in errors.items()})
    assert max(errors.values()) <= TOLERANCE
    counts = model.count_parameters()
    head = sum(value.numel() for value in tensors["head"].values())
    assert counts["petl_parameters"] == case["trained"]
    assert counts["trainable_parameters"] == case["trained"] + head
    if not gradients:
        return
    ipet.loss_of(found["output"]).backward()
    own = ipet.gradients_of(model)
    assert own.keys() == gradients.keys()
    errors = [
        largest(own[name], expected) / expected.abs().max().item()
        for name, expected in gradients.items()
    ]
    print(f"gradients {max(errors):.1e}")
    assert max(errors) <= RELATIVE


def test_inner_residual_is_what_differs(tmp_path):
    """The released layer adds the stream again; the paper's figure does not.

    With ``residual: True`` ours is the released one, see above.
    """
    case = next(c for c in ipet.MODELS if c["settings"].get("inner_residual"))
    tensors = ipet.read(case["file"])
    meant = {**case["settings"], "inner_residual": False}
    model, _ = ipet.build({**case, "settings": meant}, tensors, tmp_path)
    with torch.no_grad():
        found = model(tensors["input"])
    assert largest(found, tensors["output"]) > 0.01


def test_adapter_equals_the_released_one():
    (case,) = (
        c for c in ipet.INDEX["cases"] if c["file"].startswith("adapter")
    )
    tensors = ipet.read(case["file"])
    width, d_model = tensors["petl"]["down_proj.weight"].shape
    block = Bottleneck(
        d_model,
        reduction=d_model / width,
        activation="relu",
        scale=case["settings"]["scale"],
    )
    block.load_state_dict(tensors["petl"])
    out = block(tensors["input"])
    assert largest(out, tensors["output"]) <= TOLERANCE
    residual = tensors["output_with_residual"] - tensors["input"]
    assert largest(out, residual) <= TOLERANCE
