"""A backbone in bfloat16: bf16 autocast, with the rounding done beforehand."""

import gc
import shutil
from pathlib import Path

import pytest
import torch
from test_methods import FILES, FRAMES, LABELS, Kind
from torch import nn

from petl_modules.backbones import AST
from petl_modules.training import frozen_digests, require_unchanged
from tests.models import classifier
from tests.sampling import sample


def build(kind, case, dtype):
    torch.manual_seed(0)
    model = kind.from_yaml(case, backbone_dtype=dtype)
    torch.manual_seed(2)
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


def gradients(model, pooled):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(
        model.head(pooled).square().sum(), trained, allow_unused=True
    )


# They compute with weights, or pool, in another precision than autocast does
OTHERS = {"attentive", "attentive_layers", "dora", "hira", "ladder"}
OTHERS |= {"prototypes"}
CASES = [file for file in FILES if file not in OTHERS]
SAMPLE = [c for c in CASES if not c.endswith(("_houlsby", "_moa_lora"))]


@pytest.mark.parametrize("case", sample(CASES, SAMPLE))
def test_equals_autocast_bit_for_bit(case, kind):
    model = build(kind, case, "float32")
    rounded = build(kind, case, "bfloat16")
    inputs = kind.inputs()
    with torch.autocast("cpu", torch.bfloat16):
        expected = model.embed(inputs)
    found = rounded.embed(inputs)
    assert found.dtype == expected.dtype == torch.float32
    assert torch.equal(found, expected)
    assert not torch.equal(found, model.embed(inputs))
    for one, other in zip(
        gradients(rounded, found), gradients(model, expected)
    ):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


@pytest.mark.parametrize("case", ["bottleneck", "lora", "soft_moa"])
def test_logits_are_near_those_of_float32(case, tiny_ast):
    kind = Kind("ast", tiny_ast)
    inputs = kind.inputs()
    with torch.no_grad():
        expected = build(kind, case, "float32")(inputs)
        found = build(kind, case, "bfloat16")(inputs)
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()


def test_frozen_matrices_alone_are_rounded(tiny_ast):
    model = build(Kind("ast", tiny_ast), "soft_moa", "bfloat16")
    rounded = {
        name for name, p in model.named_parameters() if p.dtype != torch.float32
    }
    matrices = {
        f"{name}.weight"
        for name, module in model.encoder.backbone.named_modules(
            prefix="encoder.backbone"
        )
        if isinstance(module, (nn.Linear, nn.Conv2d)) and "block" not in name
    }
    assert rounded == matrices
    assert all(
        p.dtype == torch.float32 for p in model.parameters() if p.requires_grad
    )


MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="files that Linux has mapped")
@pytest.mark.parametrize("dtype", ["bfloat16", "nf4"])
def test_the_file_of_the_weights_is_not_kept(dtype, tiny_ast, tmp_path):
    """Its memory would be taken as long as one float32 tensor is in it."""
    folder = str(shutil.copytree(tiny_ast, tmp_path / "ast"))
    model = Kind("ast", folder).from_yaml("lora", backbone_dtype=dtype)
    gc.collect()
    assert folder not in MAPS.read_text()
    assert model.encoder.backbone_dtype == dtype


def test_what_trains_stays_in_float32(tiny_ast):
    kind = Kind("ast", tiny_ast)
    model = kind.from_yaml(
        "bottleneck", backbone_dtype="bfloat16", train_backbone="last_1"
    )
    layers = model.encoder.backbone.model.layers
    assert layers[0].attention.q_proj.weight.dtype == torch.bfloat16
    assert layers[-1].attention.q_proj.weight.dtype == torch.float32


def test_the_guard_of_frozen_weights_reads_bfloat16(tiny_ast):
    model = build(Kind("ast", tiny_ast), "lora", "bfloat16")
    digests = frozen_digests(model)
    require_unchanged(digests, model)
    weight = model.encoder.backbone.model.layers[0].mlp.fc1.weight
    weight.data[0, 0] += 1
    with pytest.raises(RuntimeError, match="fc1.weight"):
        require_unchanged(digests, model)


def test_no_such_type(tiny_ast):
    with pytest.raises(ValueError, match="'float16' is none of: float32"):
        classifier(AST(tiny_ast, FRAMES), LABELS, backbone_dtype="float16")
