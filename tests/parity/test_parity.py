"""Logits against those of the papers' released modules.

``PETL_PARITY=DIR pytest tests/parity`` runs the same checks on another
folder of the same format (``index.json`` and one safetensors file a case).
Where the released code departs from the papers (docs/fidelity.md) this file
imitates it; the modules do not.
"""

import json
import os
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ASTConfig, ASTModel, Wav2Vec2Config, Wav2Vec2Model

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import (
    Bottleneck,
    Conformer,
    ConvPass,
    DenseMoA,
    SoftMoA,
    moa,
)
from petl_modules.methods import Insert, LoRA, PrefixTuning, PromptTuning
from petl_modules.models import trained_state
from tests.models import classifier

FOLDER = Path(os.environ.get("PETL_PARITY", Path(__file__).parent / "fixtures"))
INDEX = json.loads((FOLDER / "index.json").read_text())
TOLERANCE = 1e-5

BLOCKS = {"bottleneck": Bottleneck, "convpass": ConvPass}
SITES = {"FFN": "ffn", "MHSA": "attention"}
LORA_SITES = {"Wq": "query", "Wk": "key", "Wv": "value", "Wo": "output"}

# From a released name to ours; {site} is the only site of the method
NAMES = [
    (r"^classification_head\.", "head."),
    (r"^encoder\.layers?\.(\d+)\.adapter_module_FFN\.", r"0.layers.\1.ffn."),
    (r"^encoder\.layers?\.(\d+)\.adapter_module_MHSA\.", r"0.layers.\1.attention."),
    (r"^encoder\.layers?\.(\d+)\.adapter_module\.", r"0.layers.\1.{site}."),
    (r"^encoder\.layer\.(\d+)\.(moa|router)_ffn\.", r"0.layers.\1.ffn.\2."),
    (r"^encoder\.layer\.(\d+)\.(moa|router)_mhsa\.", r"0.layers.\1.attention.\2."),
    (r"^encoder\.layer\.(\d+)\.(moa|router)\.", r"0.layers.\1.{site}.\2."),
    (r"\.moa\.moa\.(\d+)\.", r".experts.\1."),
    (r"\.moa\.(scale|slot_params)$", r".\1"),
    (r"\.slot_params$", ".phi"),
    (r"\.router\.ff\.", ".router."),
    (r"\.(linear_downsample|adapter_down)\.", ".down_proj."),
    (r"\.(linear_upsample|adapter_up)\.", ".up_proj."),
    (r"\.adapter_conv\.", ".inner.conv."),
    (r"\.pwise_conv1\.", ".pointwise_in."),
    (r"\.pwise_conv2\.", ".pointwise_out."),
    (r"\.dwise_conv\.", ".depthwise."),
    (r"\.bnorm\.", ".batch_norm."),
    (r"\.lnorm\.", ".norm."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.(key|value)_tokens$", r"0.layers.\1.attention.\2"),
    (r"^encoder\.layer\.(\d+)\.attention\.\w+\.lora_(down|up)_(.)\.", r"0.layers.\1.\3.\2."),
    (r"\.Q\.", ".query."),
    (r"\.K\.", ".key."),
    (r"\.V\.", ".value."),
    (r"\.O\.", ".output."),
    (r"(query|key|value|output)\.down\.", r"\1.lora_a."),
    (r"(query|key|value|output)\.up\.", r"\1.lora_b."),
    (r"^prompt_embeddings$", "0.layers.0.tokens"),
]  # fmt: skip


def build_method(method, given):
    """Our method, its only site and its pooling for the released settings."""
    if method == "lora":
        at = [LORA_SITES[name] for name in given["lora_config"].split(",")]
        rank = round(INDEX["ast_config"]["hidden_size"] / given["rank"])
        # The released scale is alpha / reduction, ours alpha / rank
        alpha = given["alpha"] / given["rank"] * rank
        return LoRA(at=at, rank=rank, alpha=alpha), "", "all"
    if method == "prefix":
        return PrefixTuning(tokens=given["num_tokens"]), "", "all"
    if method == "prompt":
        prompts = PromptTuning(tokens=given["num_tokens"], deep=given["deep"])
        return prompts, "", given["final_output"].lower()
    site = SITES[given.get("location", "FFN")]
    at = ["attention", "ffn"]
    if given.get("adapter_type") != "Houlsby":
        at = [site]
    return Insert(at=at, **build_block(method, given)), site, "all"


def build_block(method, given):
    reduction = given["reduction_rate"]
    if method.endswith("_moa"):
        expert = partial(BLOCKS[given["adapter_module"]], reduction=reduction)
        sizes = {"expert": expert, "experts": given["num_adapters"]}
        if method == "dense_moa":
            return {"block": partial(DenseMoA, **sizes)}
        sizes |= {"slots": given["num_slots"], "normalize": given["normalize"]}
        return {"block": partial(SoftMoA, **sizes)}
    if given["adapter_block"] == "conformer":
        block = partial(
            Conformer,
            reduction=reduction,
            kernel_size=given["kernel_size"],
            input_norm=method == "wav2vec2_adapter",
        )
    else:
        block = partial(Bottleneck, reduction=reduction)
    if method.endswith("adapter"):
        where = {"placement": given["seq_or_par"], "residual": given["apply_residual"]}  # fmt: skip
    else:
        where = {
            ("parallel", "before"): {"placement": "parallel"},
            ("parallel", "after"): {"placement": "sequential"},
            ("sequential", "before"): {"placement": "before"},
            ("sequential", "after"): {"placement": "sequential"},
        }[given["seq_or_par"], given["before_after"]]
    return {"block": block, **where}


def translate(released, site, on_ast):
    """Released tensors under our names and in our shapes."""
    ours = {}
    for name, value in released.items():
        if ".lnorm." in name and on_ast:  # computed and dropped there
            continue
        if name == "deep_prompt_embeddings":
            layers = {f"0.layers.{i}.tokens": v for i, v in enumerate(value, 1)}
            ours.update(layers)
            continue
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement.replace("{site}", site), name)
        if "pointwise" in name or name.endswith(("tokens", ".key", ".value")):
            value = value.squeeze(-1 if "pointwise" in name else 0)
        ours[name] = value
    return ours


def imitate_dropped_convolution(state):
    """ConvPass computes its convolution and drops it: ours, an identity."""
    for name, value in state.items():
        if name.endswith("conv.weight"):
            state[name] = torch.zeros_like(value)
            state[name][:, :, 1] = torch.eye(len(value))
        elif name.endswith("conv.bias"):
            state[name] = torch.zeros_like(value)


def group_experts(state):
    """Tensors of single experts, and their router's, as ours hold them."""
    mixtures = {n.partition(".experts.")[0] for n in state if ".experts." in n}
    for mixture in mixtures:
        start = f"{mixture}.experts"

        def take(name):
            found = [n for n in state if re.match(rf"{start}\.\d+\.{name}$", n)]
            return [state.pop(f"{start}.{i}.{name}") for i in range(len(found))]

        def router(name):
            name = f"{mixture}.router.{name}"
            return [state.pop(name)] if name in state else []

        up = [value.t() for value in take("up_proj.weight")]
        up += [value.unsqueeze(0) for value in take("up_proj.bias")]
        grouped = {
            "up_proj": up,
            "down_proj": take("down_proj.weight") + router("weight"),
            "down_proj_bias": take("down_proj.bias") + router("bias"),
            "inner.conv.weight": take("inner.conv.weight"),
            "inner.conv.bias": take("inner.conv.bias"),
        }
        for name, values in grouped.items():
            if values:
                state[f"{start}.{name}"] = torch.cat(values)


def imitate_adding_twice(model):
    """At the default place a mixture is added again behind the FFN."""
    for layer in model.encoder.backbone.model.layers:
        seen = {}
        layer.attention.block.register_forward_hook(
            lambda _, __, out, seen=seen: seen.update(out=out)
        )
        layer.mlp.register_forward_hook(
            lambda _, __, out, seen=seen: out + seen["out"]
        )


def write_backbone(folder, state, on_ast):
    """The backbone of a case as a local folder."""
    if on_ast:
        source = ASTModel(ASTConfig(**INDEX["ast_config"]))
    else:
        config = Wav2Vec2Config(**INDEX["wav2vec2_config"], mask_time_prob=0.0)
        source = Wav2Vec2Model(config)
    source.load_state_dict(state)
    source.save_pretrained(folder)


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda case: case["file"])
def test_logits_equal_the_released_modules(case, tmp_path, monkeypatch):
    method, given = case["method"], case["settings"]
    on_ast = not method.startswith("wav2vec2")
    tensors = load_file(FOLDER / case["file"])
    parts = {"backbone": {}, "petl": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if rest:
            parts[part][rest] = value
    write_backbone(tmp_path, parts["backbone"], on_ast)
    if on_ast:
        backbone = AST(str(tmp_path), frames=tensors["input"].shape[1])
    else:
        backbone = Wav2Vec2(str(tmp_path))

    ours, site, pooling = build_method(method, given)
    labels = [str(label) for label in range(INDEX["num_classes"])]
    norms = {} if on_ast else {"train_norms": False}
    model = classifier(backbone, labels, [ours], pooling=pooling, **norms)
    model.eval()
    state = translate(parts["petl"], site, on_ast)
    imitate_dropped_convolution(state)
    group_experts(state)
    own = trained_state(model)
    assert state.keys() == {
        name
        for name in own
        if not name.startswith("backbone.")
        and not name.endswith("num_batches_tracked")
    }
    for name, value in state.items():
        own[name].copy_(value)
    if method.endswith("_moa"):
        if given["adapter_type"] == "Pfeiffer" and given["location"] == "MHSA":
            imitate_adding_twice(model)
        along_experts = {0: 1, -1: -1}
        unit_length = moa.unit_length
        monkeypatch.setattr(
            moa,
            "unit_length",
            lambda x, dim: unit_length(x, along_experts[dim]),
        )
    with torch.no_grad():
        error = (model(tensors["input"]) - tensors["output"]).abs().max()
    print(f"largest difference {error:.1e}")
    assert error <= TOLERANCE
