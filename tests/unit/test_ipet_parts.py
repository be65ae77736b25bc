"""IPET's blocks, poolings and counts, against their formulas."""

from functools import partial
from pathlib import Path

import pytest
import torch
from test_methods import LABELS, Kind
from torch import nn
from transformers import ASTConfig, ASTModel, Wav2Vec2Config, Wav2Vec2Model

from petl_modules.backbones.sites import Sites
from petl_modules.blocks import Bottleneck, SoftMoA
from petl_modules.methods import Insert, PromptTuning
from petl_modules.models import LinearHead, MeanStdPooling
from petl_modules.runs import RecipeFile
from petl_modules.utils import HparamsError
from tests.models import classifier

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
D = 768
LAYERS = 12

# Of the paper's released code: prompts, width, classes; prompts and adapters
# together, head, total
TOTALS = {
    ("ast", "ESC50"): (4, 32, 50, 636_288, 39_986, 676_274),
    ("ast", "GTZAN"): (8, 64, 10, 1_263_360, 9_226, 1_272_586),
    ("ast", "GSC"): (4, 128, 35, 2_406_912, 28_451, 2_435_363),
    ("ast", "VoxCeleb1"): (4, 64, 1211, 1_226_496, 254_907, 1_481_403),
    ("wav2vec2", "ESC50"): (128, 128, 50, 3_549_696, 79_922, 3_629_618),
    ("wav2vec2", "GTZAN"): (128, 64, 10, 2_369_280, 18_442, 2_387_722),
    ("wav2vec2", "GSC"): (64, 64, 35, 1_779_456, 56_867, 1_836_323),
    ("wav2vec2", "VoxCeleb1"): (64, 128, 1211, 2_959_872, 353_211, 3_313_083),
}


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


def head_of(backbone, dataset, classes):
    d_in = D if backbone == "ast" else 2 * D
    if dataset != "VoxCeleb1":
        return LinearHead(d_in, out_features=classes, norm=True)
    norm_and_classes = LinearHead(128, out_features=classes, norm=True)
    return nn.Sequential(nn.Linear(d_in, 128), norm_and_classes)


def methods_of(backbone, dataset, prompts, width):
    """Those of the recipe file, where there is one."""
    stem = "ipet" if backbone == "ast" else "ipet_wav2vec2"
    file = RECIPES / dataset / "hparams" / f"{stem}.yaml"
    if file.is_file():
        return RecipeFile.read(file).make(["methods"])["methods"]
    block = partial(Bottleneck, reduction=D / width)
    return [
        PromptTuning(tokens=prompts, deep=True),
        Insert(at=["ffn"], block=block, reads="stream"),
    ]


@pytest.mark.parametrize("key", TOTALS, ids="-".join)
def test_as_many_are_trained_as_in_the_released_code(key):
    prompts, width, classes, petl, head, total = TOTALS[key]
    assert petl == LAYERS * (prompts * D + 2 * D * width + width + D)
    with torch.device("meta"):
        if key[0] == "ast":
            model = ASTModel(ASTConfig())
        else:
            model = Wav2Vec2Model(Wav2Vec2Config())
        blocks = [
            insertion.block
            for method in methods_of(*key, prompts, width)
            for insertion in method.insertions(Sites(model))
        ]
        found = head_of(*key, classes)
    assert sum(map(numel, blocks)) == petl
    assert numel(found) == head
    assert petl + head == total


# Blocks


def test_the_block_is_its_formula():
    block = Bottleneck(8, reduction=2, activation="relu", scale=0.3).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 5, 8)
    hidden = (x @ block.down_proj.weight.t() + block.down_proj.bias).clamp(0)
    out = hidden @ block.up_proj.weight.t() + block.up_proj.bias
    torch.testing.assert_close(block(x), 0.3 * out)


def test_dropout_is_on_the_bottleneck_and_follows_the_seed():
    block = Bottleneck(64, reduction=2, dropout=0.5, scale=0.1)
    nn.init.eye_(block.up_proj.weight)
    nn.init.ones_(block.down_proj.bias)
    x = torch.randn(1, 200, 64)
    torch.manual_seed(1)
    first, second = block(x), block(x)
    torch.manual_seed(1)
    assert torch.equal(block(x), first) and not torch.equal(first, second)
    dropped = (first[..., :32] == 0).float().mean()
    assert dropped == pytest.approx(0.5, abs=0.03)
    expected = torch.where(first == 0, 0, 2 * block.eval()(x))
    torch.testing.assert_close(first, expected)


def test_initialisations():
    torch.manual_seed(0)
    written = Bottleneck(D, reduction=6, init_std=None)
    weight, bound = written.down_proj.weight.data, D**-0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not written.up_proj.weight.any()
    ran = Bottleneck(D, reduction=6, init_std=0.02)
    for layer in (ran.down_proj, ran.up_proj):
        assert layer.weight.data.std() == pytest.approx(0.02, rel=0.02)
        assert not layer.bias.any()


def test_scaled_experts_are_not_stacked():
    torch.manual_seed(0)
    expert = partial(Bottleneck, reduction=4, scale=0.5)
    mixture = SoftMoA(16, expert=expert, experts=3)
    assert not mixture.grouped  # they would lose the factor


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"activation": "tanh"}, "activation 'tanh' is none of: gelu, relu"),
        ({"dropout": 1.5}, "between 0 and 1"),
    ],
)
def test_no_such_block(given, words):
    with pytest.raises(ValueError, match=words):
        Bottleneck(8, reduction=2, **given)


# Prompts


def prompts_of(kind, **given):
    torch.manual_seed(0)
    method = PromptTuning(tokens=5, deep=True, **given)
    model = classifier(kind.backbone(), LABELS, [method])
    paths = model.encoder.inserted.values()
    return torch.stack([model.encoder.get_submodule(p).tokens for p in paths])


def test_xavier_is_that_of_the_paper(tiny_ast):
    kind = Kind("ast", tiny_ast)
    xavier, usual = prompts_of(kind, init="xavier"), prompts_of(kind)
    bound = (6 / (6 * 128)) ** 0.5
    assert 0.98 * bound < xavier.abs().max() <= bound
    patch = kind.backbone().sites.patch_size
    usual_bound = (6 / (3 * patch**2 + 128)) ** 0.5
    assert 0.98 * usual_bound < usual.abs().max() <= usual_bound


def test_the_place_of_prompts_changes_nothing_else(tiny_ast):
    """Attention knows no order: as if they were in front of all tokens."""
    kind = Kind("ast", tiny_ast)
    model = classifier(
        kind.backbone(),
        LABELS,
        [PromptTuning(tokens=4, deep=True, replace_distillation=False)],
    ).eval()
    plain, inputs = kind.backbone().eval(), kind.inputs()
    for key, path in model.encoder.inserted.items():
        tokens = model.encoder.get_submodule(path).tokens
        layer = plain.sites.module(key.removeprefix("0."))
        layer.register_forward_pre_hook(
            lambda _, args, tokens=tokens, first=key == "0.layers.0": (
                torch.cat(
                    [
                        tokens.expand(len(args[0]), -1, -1),
                        args[0][:, 0 if first else 4 :],
                    ],
                    1,
                ),
                *args[1:],
            )
        )
    with torch.no_grad():
        expected, found = plain(inputs), model.encoder.backbone(inputs)
    own = torch.cat([found[:, 2:6], found[:, :2], found[:, 6:]], 1)
    torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5)


def test_without_the_distillation_token_it_cannot_be_pooled(tiny_ast):
    prompts = PromptTuning(tokens=4, deep=True)
    backbone = Kind("ast", tiny_ast).backbone()
    with pytest.raises(HparamsError, match="'replace_distillation: False'"):
        classifier(backbone, LABELS, [prompts], pooling="cls+distillation")


# Pooling and head


def test_statistics_are_those_of_the_real_frames():
    hidden = torch.randn(2, 9, 3)
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    found = MeanStdPooling()(hidden, mask)
    for clip, frames in enumerate((9, 4)):
        real = hidden[clip, :frames]
        expected = torch.cat([real.mean(0), real.std(0)])
        torch.testing.assert_close(found[clip], expected, rtol=1e-5, atol=1e-5)
    whole = MeanStdPooling()(hidden)
    assert torch.equal(whole, MeanStdPooling()(hidden, torch.ones(2, 9) > 0))


@pytest.mark.parametrize("frames", [1, 5])
def test_constant_hidden_states_have_finite_gradients(frames):
    hidden = torch.full((1, frames, 3), 2.0, requires_grad=True)
    pooled = MeanStdPooling()(hidden)
    pooled.sum().backward()
    torch.testing.assert_close(
        pooled.detach(), torch.tensor([[2.0] * 3 + [1e-7**0.5] * 3])
    )
    torch.testing.assert_close(hidden.grad, torch.full_like(hidden, 1 / frames))


def test_the_head_with_and_without_norm():
    head = LinearHead(6, out_features=4, norm=True)
    x = 5 * torch.randn(3, 6) + 1
    normed = nn.functional.layer_norm(x, (6,))
    torch.testing.assert_close(head(x), head.linear(normed))
    assert head.linear.weight.abs().max() <= (6 / 10) ** 0.5
    assert torch.equal(head.linear.bias, torch.full((4,), 1e-4))
    assert numel(LinearHead(6, out_features=4)) == 6 * 4 + 4
