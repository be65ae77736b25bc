"""Forms of LoRA, (IA)3 and SSF: against peft, merged, saved, on any encoder."""

import copy
import math
from functools import partial

import pytest
import torch
from peft import HiraConfig, IA3Config, LoraConfig, inject_adapter_in_model

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import Bottleneck, DoRA, HiRA, LowRank, PiSSA, Scale
from petl_modules.methods import IA3, SSF, Adapted, Insert, LoRA, merge_methods
from petl_modules.models import load_trained, read_trained, save_trained
from petl_modules.utils import HparamsError
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
# What mathematics makes zero: attention does not see a shift of all keys
UNSEEN = "k_proj.block.block.shift"
BOTTLENECK = partial(Bottleneck, reduction=4)


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


FORMS = ("dora", "pissa", "hira", "ia3", "ssf")


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture
def model(form, tiny_ast):
    return build(tiny_ast, every()[form]).eval()


def states(model, inputs):
    with torch.no_grad():
        return model.encoder.backbone(inputs)


def test_step_0_is_the_frozen_encoder_bit_for_bit(model, tiny_ast, inputs):
    wanted = AST(tiny_ast, FRAMES)(inputs)
    assert torch.equal(states(model, inputs), wanted)


def test_every_parameter_gets_a_gradient(model, inputs):
    draw(model)  # one of two factors starts at zero
    model.train()(inputs).square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.endswith(UNSEEN):
            assert parameter.grad.abs().max() > 1e-6, name


def test_merged_is_unmerged_and_comes_back(model, inputs):
    draw(model, 0.05)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    wanted = states(model, inputs)
    restore = merge_methods(model)
    adapted = [m for m in model.modules() if isinstance(m, Adapted)]
    assert adapted and all(module.merged for module in adapted)
    torch.testing.assert_close(
        states(model, inputs), wanted, rtol=1e-5, atol=5e-6
    )
    restore()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_saved_and_loaded_is_the_same(form, model, tiny_ast, inputs, tmp_path):
    draw(model, 0.05)
    save_trained(model, tmp_path / "model")
    saved = set(read_trained(tmp_path / "model")[0])
    trained = sum(p.requires_grad for p in model.parameters())
    starts = {n for n in saved if n.endswith(("start_a", "start_b"))}
    assert len(saved - starts) == trained
    assert bool(starts) == (form == "pissa")
    torch.manual_seed(7)  # a new SVD is another draw
    other = classifier(AST(tiny_ast, FRAMES), ["a", "b"], [every()[form]])
    load_trained(other, tmp_path / "model")
    assert torch.equal(states(other.eval(), inputs), states(model, inputs))


def test_copies_are_independent(model, inputs):
    other = copy.deepcopy(model)
    wanted = states(model, inputs)
    draw(other)
    assert torch.equal(states(model, inputs), wanted)
    assert not torch.equal(states(other, inputs), wanted)


def test_a_bfloat16_encoder_trains_them(form, tiny_ast, inputs):
    model = build(tiny_ast, every()[form], backbone_dtype="bfloat16").train()
    draw(model, 0.05)
    out = model(inputs)
    out.square().sum().backward()
    assert out.dtype == torch.float32 and out.isfinite().all()
    near = build(tiny_ast, every()[form])
    draw(near, 0.05)
    torch.testing.assert_close(out, near(inputs), rtol=0.1, atol=0.1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            assert parameter.dtype == parameter.grad.dtype == torch.float32


def test_wavlm_whose_attention_reads_weights(form, tiny_encoders):
    folder = tiny_encoders["wavlm"].folder
    model = classifier(
        Wav2Vec2(folder), ["a", "b"], [every()[form]], pooling="speech"
    )
    sound = torch.randn(1, 4_000, generator=torch.Generator().manual_seed(1))
    model.eval()
    draw(model, 0.05)
    with torch.no_grad():
        wanted = model(sound)
        merge_methods(model)
        torch.testing.assert_close(model(sound), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ([LoRA(at=["ffn"], form=DoRA)], "linear layers, and 'ffn' is none"),
        ([IA3(at=["attention"])], "IA3 adapts linear layers"),
        ([Insert(at=["query"], block=HiRA)], "HiRA needs the weight"),
        ([Insert(at=["query"], block=PiSSA)], "PiSSA needs the weight"),
        (
            [Insert(at=["query"], block=BOTTLENECK), LoRA(form=DoRA)],
            "name that method behind this one",
        ),
    ],
)
def test_wrong_use_is_named(methods, words, tiny_ast):
    with pytest.raises(HparamsError, match=words):
        classifier(AST(tiny_ast, FRAMES), ["a", "b"], methods)


def test_a_shift_of_an_input_is_no_scale():
    for values in ({"of": "input", "shift": True}, {"of": "inside"}):
        with pytest.raises(ValueError, match="without a shift|is none of"):
            Scale(8, **values)


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
