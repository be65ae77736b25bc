"""Methods x encoders: a table of which each cell works."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn

from petl_modules.backbones import W2vBert, Wav2Vec2, Whisper
from petl_modules.blocks import (
    AdapterBias,
    Bottleneck,
    Conformer,
    ConvPass,
    DenseMoA,
    GCLoRA,
    LayerAdapter,
    LowRank,
    MambAdapter,
    SoftMoA,
)
from petl_modules.methods import (
    Insert,
    LoRA,
    PrefixTuning,
    PromptTuning,
    merge_methods,
)
from petl_modules.models import (
    Ladder,
    LayerSum,
    Probe,
    load_trained,
    save_trained,
)
from petl_modules.models.quantization import NF4Linear
from tests.encoders import ENCODERS
from tests.models import classifier

BLOCK = partial(Bottleneck, reduction=16)
PROJECTIONS = ["query", "key", "value", "output"]
LINEAR = [*PROJECTIONS, "ffn_in", "ffn_out"]
EVERYTHING = {
    "methods": [
        LoRA(at=LINEAR, rank=2),
        Insert(at=["attention", "ffn"], block=BLOCK),
        Insert(
            at=["attention"],
            block=partial(ConvPass, reduction=16),
            layers="last_1",
        ),
        PromptTuning(tokens=3, deep=False),
        PrefixTuning(tokens=4),
    ],
}
E_ADAPTERS = {
    "methods": [
        Insert(
            at=["ffn"],
            block=partial(
                Bottleneck,
                reduction=3,
                init_std=1e-3,
                down_std=1e-3,
                output_norm=True,
            ),
            placement="sequential",
            layers="all_but_last",
        )
    ],
    "train_norms": "layers",
}


def l_adapter(width):
    """As wide as the layer: a head of the frozen model fits."""
    return LayerAdapter(width, out_features=width)


L_ADAPTERS = {
    "hidden_states": partial(LayerSum, first_input=False, block=l_adapter)
}
# By name: what is inserted, and other settings
METHODS = {
    "linear": {},
    "bottleneck": {"methods": [Insert(at=["ffn"], block=BLOCK)]},
    "houlsby": {
        "methods": [
            Insert(at=["attention", "ffn"], block=BLOCK, placement="sequential")
        ]
    },
    "before": {
        "methods": [
            Insert(at=["attention", "ffn"], block=BLOCK, placement="before")
        ]
    },
    "projections": {
        "methods": [Insert(at=PROJECTIONS, block=BLOCK, placement="sequential")]
    },
    "soft_moa": {
        "methods": [
            Insert(at=["ffn"], block=partial(SoftMoA, expert=BLOCK, experts=2))
        ]
    },
    "dense_moa": {
        "methods": [
            Insert(at=["ffn"], block=partial(DenseMoA, expert=BLOCK, experts=2))
        ]
    },
    "conformer": {
        "methods": [Insert(at=["ffn"], block=partial(Conformer, reduction=16))]
    },
    "convpass": {
        "methods": [Insert(at=["ffn"], block=partial(ConvPass, reduction=16))]
    },
    "mambadapter": {
        "methods": [
            Insert(
                at=["attention", "ffn"],
                block=partial(MambAdapter, reduction=16),
                share=["down_proj", "up_proj"],
            )
        ]
    },
    "stream": {
        "methods": [Insert(at=["ffn"], block=BLOCK, reads="stream")],
        "train_norms": True,
    },
    "lora": {"methods": [LoRA(at=["query", "value"], rank=2)]},
    "lora, all": {"methods": [LoRA(at=LINEAR, rank=2)]},
    "prefix": {"methods": [PrefixTuning(tokens=4)]},
    "prompt_shallow": {"methods": [PromptTuning(tokens=3, deep=False)]},
    "prompt_deep": {"methods": [PromptTuning(tokens=3, deep=True)]},
    "prompt_late": {
        "methods": [PromptTuning(tokens=3, deep=True, layers="last_1")]
    },
    "bitfit": {"train_backbone": "biases"},
    "full_finetuning": {"train_backbone": "all"},
    "last layer": {"train_backbone": "last_1"},
    "weighted": {"hidden_states": "weighted"},
    "ladder": {"hidden_states": Ladder},
    "adapter_ffn": {
        "methods": [Insert(at=["ffn"], block=BLOCK, placement="sequential")]
    },
    "adapter_bias": {
        "methods": [
            Insert(at=["ffn"], block=AdapterBias, placement="sequential")
        ]
    },
    "adapter_bias, inside": {
        "methods": [Insert(at=["ffn_out"], block=AdapterBias)]
    },
    "lora_qk": {"methods": [LoRA(at=["query", "key"], rank=8, alpha=1.0)]},
    "e_adapters": E_ADAPTERS,
    "l_adapters": L_ADAPTERS,
    "el_adapters": E_ADAPTERS | L_ADAPTERS,
    "everything": EVERYTHING,
    "soft_moa_lora": {
        "methods": [
            Insert(
                at=["query", "value"],
                block=partial(
                    SoftMoA, expert=partial(LowRank, rank=2), experts=2
                ),
            )
        ]
    },
    "dense_moa_lora": {
        "methods": [
            Insert(
                at=["query", "ffn_in"],
                block=partial(
                    DenseMoA, expert=partial(LowRank, rank=2), experts=2
                ),
            )
        ]
    },
    "gc_lora": {
        "methods": [Insert(at=["output"], block=partial(GCLoRA, rank=4))]
    },
}
NOT_THE_IDENTITY = {
    *("before", "prefix", "prompt_shallow", "prompt_deep"),
    *("prompt_late", "weighted", "everything"),
    *("e_adapters", "l_adapters", "el_adapters"),
}
LABELS = list("abcd")
EVERY = 6  # the sample of the table's cells


def table(columns):
    """Cells of encoders x columns; all but a sample are marked ``whole``."""
    return [
        pytest.param(
            name,
            column,
            marks=[] if (row + place) % EVERY == 0 else [pytest.mark.whole],
        )
        for row, name in enumerate(ENCODERS)
        for place, column in enumerate(columns)
    ]


def build(encoder, settings, **more):
    backbone = encoder.backbone()  # draws, where it is loaded
    torch.manual_seed(0)
    settings = {"pooling": "speech", "train_norms": False, **settings, **more}
    return classifier(backbone, LABELS, **settings)


def train_steps(model, inputs, lengths, steps=2):
    """A few steps; returns, by name, whether a gradient was ever not 0."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
    seen = dict.fromkeys(trained, False)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model.train()(inputs, lengths)
        nn.functional.cross_entropy(logits, torch.tensor([3, 1])).backward()
        for name, parameter in trained.items():
            assert parameter.grad is not None, name
            seen[name] |= bool(parameter.grad.abs().max() > 1e-8)
        optimizer.step()
    return seen


# What the loss does not depend on: a bias that shifts all products of a query
# alike, and biases in front of a normalisation
UNSEEN = (
    *("k_proj.bias", "linear_k.bias", "depthwise.bias"),
    *(f"{key}.block.block.up_proj.bias" for key in ("k_proj", "linear_k")),
    # At first as small as rounding; test_blocks shows that they learn
    *("A_log", "x_proj.weight", "dt_proj.weight", "dt_proj.bias"),
)


@pytest.mark.parametrize(("name", "method"), table(METHODS))
def test_cell(name, method, tiny_encoders):
    """Step 0 is the identity, all that is declared learns, padding is unseen."""
    encoder = tiny_encoders[name]
    inputs, lengths = encoder.batch()
    model = build(encoder, METHODS[method]).eval()
    plain = build(encoder, {}).eval()
    plain.head = model.head
    with torch.no_grad():
        same = torch.equal(model(inputs, lengths), plain(inputs, lengths))
    assert same == (method not in NOT_THE_IDENTITY)
    seen = train_steps(model, inputs, lengths)
    still = [n for n, moved in seen.items() if not moved]
    for parameter in still:
        assert parameter.endswith(UNSEEN), parameter
    with torch.no_grad():
        padded = model.eval()(inputs, lengths)[:1]
        alone = model(*encoder.alone())
        torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-4)
        if method != "linear":
            assert not torch.allclose(padded, plain(inputs, lengths)[:1])


def test_the_other_sites_of_w2v_bert(tiny_encoders):
    """Its convolutions, and its first feed-forwards."""
    encoder = tiny_encoders["w2v-bert"]
    inputs, lengths = encoder.batch()
    methods = [
        Insert(at=["conv", "ffn_first"], block=BLOCK, placement="sequential"),
        LoRA(at=["ffn_first_in", "ffn_first_out"], rank=2),
        Insert(at=["conv"], block=BLOCK, layers="last_1"),
    ]
    model = build(encoder, {"methods": methods}).eval()
    plain = build(encoder, {}).eval()
    plain.head = model.head
    with torch.no_grad():
        assert torch.equal(model(inputs, lengths), plain(inputs, lengths))
    assert all(train_steps(model, inputs, lengths).values())
    with torch.no_grad():
        torch.testing.assert_close(
            model.eval()(inputs, lengths)[:1],
            model(*encoder.alone()),
            rtol=1e-4,
            atol=1e-4,
        )


@pytest.mark.parametrize("site", ["conv", "ffn_first"])
@pytest.mark.parametrize("name", ["wavlm", "whisper"])
def test_sites_of_another_encoder_are_refused(name, site, tiny_encoders):
    insert = Insert(at=[site], block=BLOCK)
    with pytest.raises(ValueError, match=f"no site '{site}' in {name}; sites"):
        build(tiny_encoders[name], {"methods": [insert]})


# Options, each with nearly all methods at once


def gradients(model, encoder):
    model.zero_grad()
    model.train()(*encoder.batch()).square().sum().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def drawn(encoder, settings=EVERYTHING, **more):
    """A model whose blocks are not zero."""
    model = build(encoder, settings, **more)
    torch.manual_seed(1)
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.05)
    return model


def recomputed(encoder, recompute):
    expected = gradients(drawn(encoder), encoder)
    found = gradients(drawn(encoder, recompute=recompute), encoder)
    torch.testing.assert_close(
        [*found.values()], [*expected.values()], rtol=1e-3, atol=1e-5
    )


def stored_in_bf16(encoder):
    inputs = encoder.batch()
    model = drawn(encoder, backbone_dtype="bfloat16")
    with torch.no_grad():
        expected = drawn(encoder).eval()(*inputs)
        out = model.eval()(*inputs)
    assert (out - expected).abs().max() < 0.05 * expected.abs().max()
    assert all(grad is not None for grad in gradients(model, encoder).values())


def stored_in_nf4(encoder):
    inputs = encoder.batch()
    model, plain = drawn(encoder, backbone_dtype="nf4"), drawn(encoder)
    found = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, NF4Linear)
    ]
    assert found
    for path, module in found:
        with torch.no_grad():
            rounded = module(torch.eye(module.in_features))
            rounded -= 0 if module.bias is None else module.bias
        plain.get_submodule(path).weight.data = rounded.t().contiguous()
    with torch.no_grad():
        expected, out = plain.eval()(*inputs), model.eval()(*inputs)
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)
    assert all(grad is not None for grad in gradients(model, encoder).values())


def merged(encoder):
    inputs = encoder.batch()
    model = drawn(encoder, METHODS["lora, all"]).eval()
    with torch.no_grad():
        expected = model(*inputs)
        restore = merge_methods(model)
        count = sum(getattr(m, "merged", False) for m in model.modules())
        assert count == len(LINEAR) * 2
        torch.testing.assert_close(
            model(*inputs), expected, rtol=1e-4, atol=1e-4
        )
        restore()
        assert torch.equal(model(*inputs), expected)


def cloned(encoder, clone):
    model = drawn(encoder)
    twin = clone(model)
    inputs = encoder.batch()
    expected = model.eval()(*inputs)
    assert torch.equal(twin.eval()(*inputs), expected)
    train_steps(twin, *inputs)
    assert torch.equal(model.eval()(*inputs), expected)
    assert not torch.equal(twin.eval()(*inputs), expected)


OPTIONS = {
    "recompute: feed_forward": partial(recomputed, recompute="feed_forward"),
    "recompute: layer": partial(recomputed, recompute="layer"),
    "backbone_dtype: bfloat16": stored_in_bf16,
    "backbone_dtype: nf4": stored_in_nf4,
    "merge_methods": merged,
    "deepcopy": partial(cloned, clone=copy.deepcopy),
    "pickle": partial(cloned, clone=lambda m: pickle.loads(pickle.dumps(m))),
}


@pytest.mark.parametrize(("name", "option"), table(OPTIONS))
def test_option(name, option, tiny_encoders):
    OPTIONS[option](tiny_encoders[name])


@pytest.mark.parametrize(
    ("name", "method"), table(["everything", "bitfit", "last layer"])
)
def test_saved_and_loaded_it_is_the_same(name, method, tiny_encoders, tmp_path):
    encoder = tiny_encoders[name]
    inputs = encoder.batch()
    model = build(encoder, METHODS[method], train_norms=True)
    train_steps(model, *inputs)
    save_trained(model, tmp_path / "model")
    other = build(encoder, METHODS[method], train_norms=True).eval()
    load_trained(other, tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(other(*inputs), model.eval()(*inputs))


@pytest.mark.parametrize("name", ENCODERS)
def test_states_of_all_layers_are_those_of_hugging_face(name, tiny_encoders):
    """All but the last, which is behind the final norm here."""
    encoder = tiny_encoders[name]
    model = build(encoder, {}).eval()
    inputs, _ = encoder.batch()
    with torch.no_grad():
        states, _ = model.encoder(inputs, all_layers=True)
        theirs = encoder.stock_states(inputs)
    torch.testing.assert_close(states[:-1], theirs[:-1], rtol=1e-4, atol=1e-5)
    assert len(states) == len(theirs)


@pytest.mark.parametrize("states", ["last", "weighted"])
@pytest.mark.parametrize("name", ["wavlm-large", "w2v-bert", "whisper"])
def test_a_linear_probe_on_pooled_features_is_the_same(
    name, states, tiny_encoders
):
    """With a trained norm, also where it ends the last layer."""
    encoder = tiny_encoders[name]
    settings = {"train_norms": True, "recompute": "layer"}
    model = build(encoder, {**settings, "hidden_states": states}).eval()
    norm = model.encoder.backbone.sites.final_norm
    assert norm.weight.requires_grad
    nn.init.normal_(norm.weight)
    inputs = encoder.batch()
    with torch.no_grad():
        probe = Probe(model)
        found = probe(probe.pool(*inputs))
        torch.testing.assert_close(found, model(*inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wavlm", "w2v-bert", "whisper"])
def test_a_checkpoint_of_another_kind_is_refused(name, tiny_encoders, tiny_ast):
    encoder = tiny_encoders[name]
    other = {Wav2Vec2: W2vBert, W2vBert: Whisper, Whisper: Wav2Vec2}
    with pytest.raises(ValueError, match="is a '.*'; this recipe file takes"):
        other[encoder.made](encoder.folder)
    with pytest.raises(ValueError, match="is a 'audio-spectrogram"):
        encoder.make(tiny_ast)
