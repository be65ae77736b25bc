"""AdaptFormer's recipe file, against its formula in Hugging Face's layers."""

import math

import pytest
import torch
from test_methods import FRAMES, Kind, from_yaml
from torch import nn

from petl_modules.backbones import AST


def blocks_of(model):
    """The block of each layer, in order."""
    encoder = model.encoder
    layers = range(len(encoder.backbone.sites.layers))
    paths = [encoder.inserted[f"0.layers.{n}.ffn"] for n in layers]
    return [encoder.get_submodule(path) for path in paths]


def add_by_formula(layer, block, reads):
    """Add ``0.1 up(ReLU(down(x)))`` to the feed-forward of a plain layer.

    x is its input, or what the norm in front of it reads.
    """
    read = {}

    def keep(module, args):
        read["x"] = args[0]

    def add(module, args, out):
        down, up = block.down_proj, block.up_proj
        narrow = read["x"] @ down.weight.T + down.bias
        narrow = torch.where(narrow > 0, narrow, 0.0)
        return out + 0.1 * (narrow @ up.weight.T + up.bias)

    source = layer.mlp if reads == "input" else layer.layernorm_after
    source.register_forward_pre_hook(keep)
    layer.mlp.register_forward_hook(add)


@pytest.mark.parametrize("reads", ["input", "stream"])
def test_it_equals_its_formula(reads, tiny_ast):
    """``reads: input`` is the paper's, ``stream`` the released code's."""
    model = from_yaml("adaptformer", tiny_ast, reads=reads).eval()
    plain, inputs = AST(tiny_ast, FRAMES), Kind("ast", tiny_ast).inputs()
    with torch.no_grad():
        frozen = plain(inputs)
        layers = plain.model.layers
        for layer, block in zip(layers, blocks_of(model), strict=True):
            nn.init.normal_(block.up_proj.weight)
            for projection in (block.down_proj, block.up_proj):
                nn.init.normal_(projection.bias)
            add_by_formula(layer, block, reads)
        wanted = plain(inputs)
        assert (wanted - frozen).abs().max() > 0.1
        torch.testing.assert_close(model.encoder.backbone(inputs), wanted)


def test_it_starts_as_published(tiny_ast):
    """An up projection of 0; PyTorch's own bounds of the down projection."""
    torch.manual_seed(0)
    for block in blocks_of(from_yaml("adaptformer", tiny_ast)):
        down, up = block.down_proj, block.up_proj
        for value in (down.bias, up.weight, up.bias):
            assert not value.any()
        bound = 1 / math.sqrt(down.in_features)
        assert 0.95 * bound < down.weight.abs().max() <= bound
        assert block.inner.dropout.p == 0.1
