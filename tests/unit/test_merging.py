"""LoRA in the weights: the same outputs, and everything back in its place."""

import pytest
import torch
from test_methods import FRAMES, LABELS, Kind
from torch import nn

from petl_modules.backbones import AST
from petl_modules.methods import Adapted, LoRA, merge_methods
from tests.models import classifier


def drawn(model):
    """As after a training."""
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.mark.parametrize("name", ["ast", "group", "layer"])
@pytest.mark.parametrize("case", ["lora", "lora + bitfit", "all at once"])
def test_outputs_are_the_same(name, case, tiny_ast, tiny_wav2vec2):
    kind = Kind(name, {"ast": tiny_ast, **tiny_wav2vec2}[name])
    model, inputs = drawn(kind.build(case)), kind.inputs()
    with torch.inference_mode():
        expected = model(inputs)
        undo = merge_methods(model)
        found = model(inputs)
        undo()
        again = model(inputs)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(again, expected)


def test_the_weight_is_the_sum(tiny_ast):
    model = drawn(Kind("ast", tiny_ast).from_yaml("lora", alpha=12.0))
    query = model.encoder.backbone.model.layers[0].attention.q_proj
    block = model.encoder.get_submodule(
        model.encoder.inserted["0.layers.0.query"]
    )
    before = query.base.weight.clone()
    merge_methods(model)
    expected = before + 2 * block.lora_b.weight @ block.lora_a.weight
    torch.testing.assert_close(query.base.weight.data, expected)


def test_a_second_merge_adds_nothing(tiny_ast):
    model = drawn(Kind("ast", tiny_ast).from_yaml("lora"))
    inputs = torch.randn(1, FRAMES, 128)
    with torch.no_grad():
        undo = merge_methods(model)
        expected = model(inputs)
        merge_methods(model)()
        assert torch.equal(model(inputs), expected)
        undo()
    assert not any(m.merged for m in model.modules() if isinstance(m, Adapted))


def test_every_weight_is_restored_bit_for_bit(tiny_ast):
    model = drawn(Kind("ast", tiny_ast).from_yaml("lora"))
    before = {n: p.clone() for n, p in model.named_parameters()}
    merge_methods(model)()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert not any(m.merged for m in model.modules() if isinstance(m, Adapted))


def test_weights_in_bfloat16_are_left_alone(tiny_ast):
    model = drawn(
        Kind("ast", tiny_ast).from_yaml("lora", backbone_dtype="bfloat16")
    )
    inputs = torch.randn(1, FRAMES, 128)
    with torch.no_grad():
        expected = model(inputs)
        merge_methods(model)
        assert torch.equal(model(inputs), expected)


def test_lora_beside_a_wrapped_layer_stays_beside_it(tiny_ast):
    twice = [LoRA(at=["query"], rank=2), LoRA(at=["query"], rank=3)]
    model = drawn(classifier(AST(tiny_ast, FRAMES), LABELS, twice))
    inputs = torch.randn(1, FRAMES, 128)
    with torch.no_grad():
        expected = model(inputs)
        merge_methods(model)
        torch.testing.assert_close(model(inputs), expected)
