"""The ladder side network against its formula, and what it costs."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from test_methods import Kind
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from petl_modules.blocks import Bottleneck
from petl_modules.methods import Insert
from petl_modules.models import Ladder, TunedEncoder
from petl_modules.models.ladder import SideLayer
from petl_modules.training.linear_probe import obstacle
from petl_modules.utils import HparamsError
from tests.models import classifier

LABELS = ["cat", "dog"]
LADDER = partial(Ladder, reduction=8)


@pytest.fixture(params=["ast", "layer"])
def small(request, tiny_ast, tiny_wav2vec2):
    return Kind(
        request.param, {"ast": tiny_ast, **tiny_wav2vec2}[request.param]
    )


def made(small, **options):
    """A ladder with no weight at 0, in an encoder of two layers."""
    torch.manual_seed(0)
    factory = partial(Ladder, **{"reduction": 8, **options})
    encoder = TunedEncoder(
        small.backbone(), hidden_states=factory, train_norms=False
    )
    for parameter in encoder.layer_sum.parameters():
        nn.init.normal_(parameter, std=0.2)
    return encoder


# The paper's equations, one token and head at a time, in float64


def linear(x, weight, bias):
    return [
        sum(w * v for w, v in zip(row, x)) + b for row, b in zip(weight, bias)
    ]


def normalised(x, weight, bias):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    scale = 1 / math.sqrt(variance + 1e-5)
    return [(v - mean) * scale * w + b for v, w, b in zip(x, weight, bias)]


def gelu(x):
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def plus(x, y):
    return [a + b for a, b in zip(x, y)]


def side_layer(tokens, seen, p, heads):
    """One side layer on the tokens of a clip; padding is not seen."""
    width = len(tokens[0])
    size = width // heads
    norm = p["attention_norm.weight"], p["attention_norm.bias"]
    whole = p["query_key_value.weight"], p["query_key_value.bias"]
    triples = [linear(normalised(x, *norm), *whole) for x in tokens]
    attended = []
    for query in triples:
        mixed = []
        for head in range(heads):
            at = [head * size + i for i in range(size)]
            scores = {
                t: sum(query[i] * triples[t][width + i] for i in at)
                / math.sqrt(size)
                for t in range(len(tokens))
                if seen[t]
            }
            total = sum(math.exp(s) for s in scores.values())
            for i in at:
                mixed.append(
                    sum(
                        math.exp(s) / total * triples[t][2 * width + i]
                        for t, s in scores.items()
                    )
                )
        attended.append(linear(mixed, p["output.weight"], p["output.bias"]))
    out = []
    for x, more in zip(tokens, attended):
        x = plus(x, more)
        inside = normalised(x, p["ffn_norm.weight"], p["ffn_norm.bias"])
        inside = linear(inside, p["ffn_in.weight"], p["ffn_in.bias"])
        inside = [gelu(v) for v in inside]
        out.append(
            plus(x, linear(inside, p["ffn_out.weight"], p["ffn_out.bias"]))
        )
    return out


def of_paper(states, seen, p, heads, temperature):
    """What the head reads of one clip."""

    def down(place, x):
        return linear(x, p[f"down.{place}.weight"], p[f"down.{place}.bias"])

    side = [down(0, x) for x in states[0]]
    for layer in range(1, len(states)):
        mu = 1 / (1 + math.exp(-p["alpha"][layer - 1] / temperature))
        read = [down(layer, x) for x in states[layer]]
        side = [
            [mu * a + (1 - mu) * b for a, b in zip(x, y)]
            for x, y in zip(read, side)
        ]
        prefix = f"stack.{layer - 1}."
        own = {
            k[len(prefix) :]: v for k, v in p.items() if k.startswith(prefix)
        }
        side = side_layer(side, seen, own, heads)
    norm, up = ([p[f"{k}.weight"], p[f"{k}.bias"]] for k in ("norm", "up"))
    return [
        plus(last, linear(normalised(x, *norm), *up))
        for last, x in zip(states[-1], side)
    ]


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_the_equations_of_the_paper(temperature, tiny_wav2vec2):
    small = Kind("layer", tiny_wav2vec2["layer"])
    encoder = made(small, reduction=16, temperature=temperature)
    ladder = encoder.layer_sum.double()
    states = list(torch.randn(3, 2, 4, 128, dtype=torch.float64))
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    found = ladder(states, mask).detach().numpy()
    p = {k: v.tolist() for k, v in ladder.state_dict().items()}
    for clip, seen in enumerate(mask.tolist()):
        given = [state[clip].tolist() for state in states]
        expected = of_paper(given, seen, p, 4, temperature)
        np.testing.assert_allclose(
            found[clip][seen], np.array(expected)[seen], rtol=0, atol=1e-11
        )


@pytest.mark.parametrize("masked", [False, True])
def test_a_side_layer_is_that_of_torch(masked):
    """``TransformerEncoderLayer`` with the norms in front."""
    torch.manual_seed(0)
    ours, x = SideLayer(24, 3).double(), torch.randn(2, 7, 24).double()
    mask = torch.arange(7) < torch.tensor([[7], [4]]) if masked else None
    theirs = nn.TransformerEncoderLayer(
        *(24, 3, 96, 0.0, "gelu"),
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    names = {
        "attention_norm": "norm1",
        "query_key_value": "self_attn.in_proj",
        "output": "self_attn.out_proj",
        "ffn_norm": "norm2",
        "ffn_in": "linear1",
        "ffn_out": "linear2",
    }
    state = {}
    for key, value in ours.state_dict().items():
        name, kind = key.split(".")
        dot = "_" if name == "query_key_value" else "."
        state[f"{names[name]}{dot}{kind}"] = value
    theirs.load_state_dict(state)
    hidden = None if mask is None else ~mask
    found, expected = ours(x, mask), theirs(x, src_key_padding_mask=hidden)
    real = slice(None) if mask is None else mask
    torch.testing.assert_close(found[real], expected[real])


def test_count_in_closed_form(small):
    for layers, n in (("all", 2), ([1], 1)):
        ladder = made(small, reduction=4, layers=layers).layer_sum
        assert sum(p.numel() for p in ladder.parameters()) == count(128, 32, n)
    assert count(768, 96, 12) == 2_376_492


def count(d, w, n):
    """Of n side layers w wide beside layers d wide."""
    layer = (12 * w * w + 9 * w) + 2 * 2 * w  # matrices and biases; norms
    downs = (n + 1) * (d * w + w)
    return downs + n * (layer + 1) + 2 * w + (w * d + d)


# In an encoder


def test_padding_changes_nothing(small):
    """Bit for bit, whatever stands in the padding."""
    ladder = made(small).layer_sum
    states, mask = torch.randn(3, 2, 6, 128), torch.arange(6) < 4
    mask, other = mask.expand(2, 6), states.clone()
    other[:, :, 4:] = 100.0
    found, changed = ladder([*states], mask), ladder([*other], mask)
    assert torch.equal(found[:, :4], changed[:, :4])
    alone = ladder([*states[:, :, :4]])
    torch.testing.assert_close(found[:, :4], alone, rtol=1e-5, atol=1e-5)


def test_layers_that_are_not_read(small):
    ladder = made(small, layers=[1]).layer_sum
    states = torch.randn(3, 2, 6, 128)
    assert ladder.places == [0, 2] and len(ladder.stack) == 1
    other = states.clone()
    other[1] = 0.0
    assert torch.equal(ladder([*states]), ladder([*other]))


def test_it_reads_every_token_where_the_head_reads_one(tiny_ast):
    small = Kind("ast", tiny_ast)
    encoder, inputs = made(small).eval(), small.inputs()
    hidden, _ = encoder(inputs)
    one = TunedEncoder(
        small.backbone(), hidden_states=LADDER, train_norms=False, tokens="cls"
    )
    one.layer_sum.load_state_dict(encoder.layer_sum.state_dict())
    assert torch.equal(one.eval()(inputs)[0], hidden[:, :1])


def test_output_is_float32_under_autocast(small):
    with torch.autocast("cpu", torch.bfloat16):
        assert made(small)(small.inputs())[0].dtype == torch.float32


def test_no_such_width(small):
    with pytest.raises(HparamsError, match="reduction 7 .* 18 wide.* 4 heads"):
        made(small, reduction=7)


@pytest.mark.parametrize("temperature", [0, -0.1, float("inf"), float("nan")])
def test_no_such_temperature(small, temperature):
    with pytest.raises(HparamsError, match=f"temperature is {temperature}: "):
        made(small, temperature=temperature)


# What a training step keeps


def kept(encoder, inputs):
    """Whether each output within a layer has a graph; how many are kept.

    Kept for the backward pass: they are told by their places in memory. All
    outputs live until the end, so that no place is used twice.
    """
    outputs, saved, sites = [], [], encoder.backbone.sites
    layers = [sites.module(name) for name in sites.layers]

    def note(module, args, out):
        outputs.append(out[0] if isinstance(out, tuple) else out)

    for layer in layers:
        for module in [*layer.modules()][1:]:
            module.register_forward_hook(note)

    def pack(tensor):
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden, _ = encoder.train()(inputs)
    graphs = [out.requires_grad for out in outputs]
    within = {out.data_ptr() for out in outputs}
    found = within & {tensor.data_ptr() for tensor in saved}
    return hidden, graphs, len(found)


def test_nothing_of_the_encoder_keeps_a_graph(small):
    encoder = made(small)
    hidden, graphs, number = kept(encoder, small.inputs())
    assert hidden.requires_grad and graphs and not any(graphs)
    assert number == 0
    hidden.sum().backward()
    assert all(p.grad is None for p in encoder.backbone.parameters())


def test_an_adapter_keeps_one(small):
    """What the test before would see."""
    block = partial(Bottleneck, reduction=16)
    encoder = TunedEncoder(
        small.backbone(), [Insert(at=["ffn"], block=block)], train_norms=False
    )
    _, graphs, number = kept(encoder, small.inputs())
    assert any(graphs) and number > 4


def test_its_features_are_not_pooled_once(small):
    model = classifier(
        small.backbone(), LABELS, hidden_states=LADDER, train_norms=False
    )
    reason = obstacle({"model": model, "augment": nn.Identity()})
    assert reason == "hidden_states is Ladder, not LayerSum"
