"""Blocks that read the stream in front of a norm, as in IPET."""

import copy
import pickle
from functools import partial

import pytest
import torch
from test_methods import LABELS, Kind
from torch import nn

from petl_modules.blocks import Bottleneck
from petl_modules.methods import Insert, LoRA, merge_methods
from petl_modules.methods.adapted import Tap
from petl_modules.utils import HparamsError
from tests.models import classifier

BLOCK = partial(Bottleneck, reduction=16, activation="relu", scale=0.1)


def build(kind, *others, **settings):
    """A model with an adapter that reads the stream; its weights drawn."""
    torch.manual_seed(0)
    adapter = Insert(at=["ffn"], block=BLOCK, reads="stream")
    settings = {"train_norms": False, **settings}
    model = classifier(kind.backbone(), LABELS, [adapter, *others], **settings)
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def block_of(model, layer, method=0):
    path = model.encoder.inserted[f"{method}.layers.{layer}.ffn"]
    return model.encoder.get_submodule(path)


def encode_by_hand(kind, model):
    """The encoder with the layer's own sum written out, by closures."""
    plain = kind.backbone().eval()
    for index, name in enumerate(plain.sites.layers):
        norm = plain.sites.module(f"{name}.ffn_norm")
        ffn = plain.sites.module(f"{name}.ffn")
        seen, block = {}, block_of(model, index)
        norm.register_forward_pre_hook(
            lambda _, args, seen=seen: seen.update(stream=args[0])
        )
        ffn.register_forward_hook(
            lambda _, args, out, seen=seen, block=block: (
                out + block(seen["stream"])
            )
        )
    return plain


def test_it_reads_the_input_of_the_norm(kind):
    model, inputs = build(kind), kind.inputs()
    with torch.no_grad():
        expected = encode_by_hand(kind, model)(inputs)
        found = model.encoder.backbone(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert model.encoder.backbone.context.carried == []


def gradients(model, inputs):
    torch.manual_seed(3)
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(model(inputs).square().sum(), trained)


@pytest.mark.parametrize("choice", ["feed_forward", "layer"])
def test_recomputation_gives_the_same_gradients(kind, choice):
    inputs = kind.inputs()
    block = partial(Bottleneck, reduction=16, dropout=0.5)
    other = Insert(at=["attention", "ffn"], block=block)
    models = [build(kind, other, recompute=c).train() for c in ("none", choice)]
    expected, found = (gradients(model, inputs) for model in models)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_another_forward_may_come_before_the_backward(kind):
    inputs = kind.inputs()
    expected = gradients(build(kind), inputs)
    model = build(kind, recompute="feed_forward")
    loss = model(inputs).square().sum()
    model(inputs.flip(0))
    trained = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, trained)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_independent(kind, clone):
    model, inputs = build(kind), kind.inputs()
    with torch.no_grad():
        expected = model(inputs)
        twin = clone(model)
        assert torch.equal(twin(inputs), expected)
        nn.init.zeros_(block_of(twin, 0).up_proj.weight)
        assert not torch.equal(twin(inputs), expected)
        assert torch.equal(model(inputs), expected)
    assert sum(isinstance(m, Tap) for m in twin.modules()) == len(
        twin.encoder.inserted
    )


def test_compiles_without_a_graph_break(kind):
    model, inputs = build(kind), kind.inputs()
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(
            compiled(inputs), model(inputs), rtol=1e-4, atol=1e-5
        )


def test_lora_beside_it_can_be_merged(kind):
    lora = LoRA(at=["query", "ffn_in", "ffn_out"], rank=3)
    model, inputs = build(kind, lora), kind.inputs()
    with torch.no_grad():
        expected = model(inputs)
        undo = merge_methods(model)
        torch.testing.assert_close(model(inputs), expected)
        undo()
        assert torch.equal(model(inputs), expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reads": "norm"}, "reads 'norm' is none of: input, stream"),
        ({"placement": "before"}, "for placement 'parallel', not 'before'"),
        ({"at": ["query"]}, "no norm of its layer feeds 'layers.0.query'"),
    ],
)
def test_what_cannot_be_read(given, words, tiny_ast):
    given = {"at": ["ffn"], "reads": "stream", **given}
    with pytest.raises(HparamsError, match=words):
        backbone = Kind("ast", tiny_ast).backbone()
        classifier(backbone, LABELS, [Insert(block=BLOCK, **given)])


def test_post_norm_attention_has_no_stream_of_its_own(tiny_wav2vec2):
    insert = Insert(at=["attention"], block=BLOCK, reads="stream")
    backbone = Kind("group", tiny_wav2vec2["group"]).backbone()
    with pytest.raises(HparamsError, match="Choose another site, such as ffn"):
        classifier(backbone, LABELS, [insert])
