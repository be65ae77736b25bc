"""Sites: encoders with other feed-forwards, inner sites, subsets of layers."""

import copy
import pickle
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from test_methods import LABELS
from torch import nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from petl_modules.backbones import AST, LAYOUTS, Layout, Site, Sites
from petl_modules.blocks import (
    Bottleneck,
    Conformer,
    ConvPass,
    DenseMoA,
    ForwardContext,
    LowRank,
    SoftMoA,
)
from petl_modules.methods import (
    Adapted,
    Insert,
    LoRA,
    PrefixTuning,
    PromptTuning,
    merge_methods,
)
from petl_modules.models import (
    freeze,
    load_trained,
    save_trained,
)
from petl_modules.models.activation_checkpointing import Recomputed
from petl_modules.models.assembly import insert_methods
from petl_modules.utils import CheckpointError
from tests.models import classifier

D, INNER, LAYERS = 16, 24, 3


class Attention(nn.Module):
    """It reads the weights of its projections instead of calling them."""

    def __init__(self):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.add_module(name, nn.Linear(D, D))

    def forward(self, hidden_states, attention_mask=None):
        q, k, v = (
            F.linear(hidden_states, p.weight, p.bias)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        return self.out_proj(out), None


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(D, INNER), nn.Linear(INNER, D)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class SplitLayer(nn.Module):
    """As in Whisper: the layer calls both parts of its feed-forward."""

    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.attention_norm, self.ffn_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.fc1, self.fc2 = nn.Linear(D, INNER), nn.Linear(INNER, D)

    def forward(self, x):
        x = x + self.attention(hidden_states=self.attention_norm(x))[0]
        return x + self.fc2(F.gelu(self.fc1(self.ffn_norm(x))))


class JoinedLayer(nn.Module):
    """The same with a module around the feed-forward."""

    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.attention_norm, self.ffn_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.ffn = FeedForward()

    def forward(self, x):
        x = x + self.attention(hidden_states=self.attention_norm(x))[0]
        return x + self.ffn(self.ffn_norm(x))


class MacaronLayer(nn.Module):
    """As in w2v-BERT 2.0: two feed-forwards."""

    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(D)
        self.ffn1_norm, self.ffn2_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.ffn1, self.ffn2 = FeedForward(), FeedForward()

    def forward(self, x):
        x = x + 0.5 * self.ffn1(self.ffn1_norm(x))
        x = x + self.attention(hidden_states=self.attention_norm(x))[0]
        return x + 0.5 * self.ffn2(self.ffn2_norm(x))


ATTENTION = {
    "attention": Site("attention", norm="attention_norm"),
    "query": Site("attention.q_proj"),
    "value": Site("attention.v_proj"),
    "output": Site("attention.out_proj"),
}
KINDS = {
    "split": (
        SplitLayer,
        Layout(
            layers="layers",
            sites={
                **ATTENTION,
                "ffn": Site(entry="fc1", exit="fc2", norm="ffn_norm"),
                "ffn_in": Site("fc1"),
                "ffn_out": Site("fc2"),
            },
            norms={"attention_norm": "attention_norm", "ffn_norm": "ffn_norm"},
            outside={"final_norm": "norm"},
            pre_norm=True,
        ),
    ),
    "joined": (
        JoinedLayer,
        Layout(
            layers="layers",
            sites={
                **ATTENTION,
                "ffn": Site("ffn", norm="ffn_norm"),
                "ffn_in": Site("ffn.fc1"),
                "ffn_out": Site("ffn.fc2"),
            },
            norms={"attention_norm": "attention_norm", "ffn_norm": "ffn_norm"},
            outside={"final_norm": "norm"},
            pre_norm=True,
        ),
    ),
    "macaron": (
        MacaronLayer,
        Layout(
            layers="layers",
            sites={
                **ATTENTION,
                "ffn1": Site("ffn1", norm="ffn1_norm"),
                "ffn1_out": Site("ffn1.fc2"),
                "ffn2": Site("ffn2", norm="ffn2_norm"),
                "ffn2_out": Site("ffn2.fc2"),
            },
            norms={n: n for n in ("attention_norm", "ffn1_norm", "ffn2_norm")},
            outside={"final_norm": "norm"},
            pre_norm=True,
            feed_forwards={"ffn1": "ffn1_out", "ffn2": "ffn2_out"},
        ),
    ),
}


@pytest.fixture(autouse=True)
def layouts(monkeypatch):
    for kind, (_, layout) in KINDS.items():
        monkeypatch.setitem(LAYOUTS, kind, layout)


class Encoder(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.config = SimpleNamespace(model_type=kind, hidden_size=D)
        self.layers = nn.ModuleList(KINDS[kind][0]() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(D)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def backbone_of(model):
    """What methods and models need of a backbone."""
    backbone = nn.Module()
    backbone.model, backbone.sites = model, Sites(model)
    backbone.context = ForwardContext()
    return backbone


def build(kind, methods, *, recompute="none", train_norms=True):
    """An encoder with blocks that are not zero, and its backbone."""
    torch.manual_seed(0)
    backbone = backbone_of(Encoder(kind))
    freeze(backbone, "none")
    torch.manual_seed(1)
    insert = partial(insert_methods, train_norms=train_norms)
    backbone.blocks = dict(insert(backbone, methods, recompute=recompute))
    torch.manual_seed(2)
    for block in backbone.blocks.values():
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.3)
    return backbone


def x():
    torch.manual_seed(3)
    return torch.randn(2, 7, D)


def step(backbone, inputs=None):
    """Output and gradients by name of block and norm."""
    backbone.zero_grad()
    torch.manual_seed(4)  # dropout
    out = backbone.model(x() if inputs is None else inputs)
    out.square().sum().backward()
    return out.detach(), gradients(backbone)


def gradients(backbone):
    return [p.grad for b in backbone.blocks.values() for p in b.parameters()]


METHODS = {
    "parallel": [Insert(at=["ffn"], block=partial(Bottleneck, reduction=4))],
    "sequential": [
        Insert(
            at=["ffn"],
            block=partial(Bottleneck, reduction=4),
            placement="sequential",
        )
    ],
    "before": [
        Insert(
            at=["ffn"],
            block=partial(Bottleneck, reduction=4),
            placement="before",
        )
    ],
    "residual": [
        Insert(
            at=["ffn"],
            block=partial(Bottleneck, reduction=4),
            residual=True,
        )
    ],
    "lora": [LoRA(at=["query", "ffn_in", "ffn_out"], rank=2)],
    "low rank at ffn": [Insert(at=["ffn"], block=partial(LowRank, rank=2))],
    "dropout and statistics": [
        Insert(at=["ffn"], block=partial(ConvPass, reduction=4)),
        Insert(at=["ffn"], block=partial(Conformer, reduction=4)),
    ],
    "all at once": [
        LoRA(at=["ffn_in", "ffn_out"], rank=2, layers=[0, 2]),
        Insert(at=["ffn"], block=partial(LowRank, rank=2), layers="last_2"),
        PromptTuning(tokens=2, deep=True, layers=[1]),
        Insert(at=["attention", "ffn"], block=LowRank, placement="sequential"),
        Insert(at=["ffn_in"], block=partial(Bottleneck, reduction=4)),
    ],
}


@pytest.mark.parametrize("recompute", ["none", "feed_forward", "layer"])
@pytest.mark.parametrize("train_norms", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_a_feed_forward_without_a_module(method, train_norms, recompute):
    """It is adapted as one that has a module."""
    methods = METHODS[method]
    joined = build("joined", methods, train_norms=train_norms)
    split = build(
        "split", methods, train_norms=train_norms, recompute=recompute
    )
    wrapped = [m for m in split.modules() if isinstance(m, Recomputed)]
    assert len(wrapped) == (0 if recompute == "none" else LAYERS)
    assert list(split.blocks) == list(joined.blocks)
    for mask in (None, torch.arange(7) < torch.tensor([[7], [4]])):
        for backbone in (split, joined):
            context = backbone.context
            prompts = 2 * (method == "all at once")
            context.mask = mask
            if mask is not None:
                context.mask = F.pad(mask, (prompts, 0), value=True)
        torch.testing.assert_close(
            step(split), step(joined), rtol=1e-5, atol=1e-5
        )
        assert split.context.carried == []
    norms = [
        [
            name
            for name, parameter in backbone.model.named_parameters()
            if parameter.requires_grad and "block" not in name
        ]
        for backbone in (split, joined)
    ]
    assert len(norms[0]) == len(norms[1])
    assert bool(norms[0]) == (train_norms and method != "lora")


def test_recomputation_uses_the_context_of_its_own_forward():
    methods = METHODS["dropout and statistics"]
    expected = build("split", methods).eval()
    found = build("split", methods, recompute="layer").eval()
    results = []
    for backbone in (expected, found):
        backbone.context.mask = torch.arange(7) < torch.tensor([[7], [4]])
        loss = backbone.model(x()).square().sum()
        backbone.context.mask = None
        backbone.model(x()[:, :5])
        loss.backward()
        assert backbone.context.mask is None
        results.append(gradients(backbone))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_a_graph_can_be_recomputed_twice():
    backbone = build("split", METHODS["parallel"], recompute="layer")
    loss = backbone.model(x()).square().sum()
    loss.backward(retain_graph=True)
    first = [grad.clone() for grad in gradients(backbone)]
    loss.backward()
    for one, two in zip(first, gradients(backbone)):
        torch.testing.assert_close(two, 2 * one)


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))]
)
@pytest.mark.parametrize("recompute", ["none", "layer"])
def test_copies_of_a_split_site_are_independent(clone, recompute):
    backbone = build("split", METHODS["all at once"], recompute=recompute)
    twin = clone(backbone)
    expected = step(backbone)
    torch.testing.assert_close(step(twin), expected, rtol=0, atol=0)
    for block in twin.blocks.values():
        for parameter in block.parameters():
            nn.init.normal_(parameter)
    torch.testing.assert_close(step(backbone), expected, rtol=0, atol=0)
    assert not torch.equal(step(twin)[0], expected[0])


@pytest.mark.parametrize("recompute", ["none", "layer"])
def test_a_split_site_compiles_without_a_graph_break(recompute, monkeypatch):
    if recompute == "layer":
        allowed = "skip_fwd_side_effects_in_bwd_under_checkpoint"
        if not hasattr(torch._dynamo.config, allowed):
            pytest.skip("this torch has no such option")
        monkeypatch.setattr(torch._dynamo.config, allowed, True)
    backbone = build("split", METHODS["parallel"], recompute=recompute)
    expected = step(backbone)
    torch._dynamo.reset()
    backbone.zero_grad()
    compiled = torch.compile(
        backbone.model, fullgraph=True, backend="aot_eager"
    )
    out = compiled(x())
    out.square().sum().backward()
    torch.testing.assert_close(
        (out.detach(), gradients(backbone)), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("recompute", ["none", "feed_forward", "layer"])
def test_two_feed_forwards(recompute):
    def blocks(*at):
        return [Insert(at=at, block=partial(Bottleneck, reduction=4))]

    expected = build("macaron", blocks("ffn1", "ffn2"))
    found = build("macaron", blocks("ffn1", "ffn2"), recompute=recompute)
    names = [f"0.layers.{i}.ffn{n}" for i in range(LAYERS) for n in (1, 2)]
    assert list(found.blocks) == names
    wrapped = [m for m in found.modules() if isinstance(m, Recomputed)]
    many = {"none": 0, "feed_forward": 2 * LAYERS, "layer": LAYERS}
    assert len(wrapped) == many[recompute]
    out = step(found)
    torch.testing.assert_close(out, step(expected), rtol=1e-5, atol=1e-5)

    by_hand = build("macaron", []).model
    for i, layer in enumerate(by_hand.layers):
        for n in (1, 2):
            ffn, block = layer.get_submodule(f"ffn{n}"), names[2 * i + n - 1]
            ffn.register_forward_hook(
                lambda _, args, out, b=expected.blocks[block]: out + b(*args)
            )
    torch.testing.assert_close(by_hand(x()), out[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["split", "macaron"])
def test_zero_blocks_change_nothing(kind):
    torch.manual_seed(0)
    plain = Encoder(kind)(x())
    at = [*KINDS[kind][1].feed_forwards]
    torch.manual_seed(0)
    backbone = backbone_of(Encoder(kind))
    methods = [Insert(at=at, block=partial(Bottleneck, reduction=4))]
    insert_methods(backbone, methods, train_norms=False, recompute="none")
    assert torch.equal(backbone.model(x()), plain)


def test_whisper():
    """Its attention is called with ``hidden_states=``."""
    config = WhisperConfig(
        d_model=D,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=INNER,
        num_mel_bins=8,
        max_source_positions=20,
    )
    torch.manual_seed(0)
    model = WhisperEncoder(config).eval()
    features = torch.randn(2, 8, 40)
    plain = model(features).last_hidden_state
    backbone = backbone_of(model)
    freeze(backbone, "none")
    small = partial(Bottleneck, reduction=4)
    methods = [
        Insert(at=["attention", "ffn"], block=small),
        LoRA(at=["query", "ffn_in", "ffn_out"], rank=2),
    ]
    blocks = insert_methods(
        backbone, methods, train_norms=True, recompute="layer"
    )
    out = model(features).last_hidden_state
    assert torch.equal(out, plain)
    out.square().sum().backward()
    for name, block in blocks:
        assert any(p.grad.any() for p in block.parameters()), name


# Names


def test_inner_sites_do_not_rename_weights(tiny_ast):
    names = AST(tiny_ast, 100).sites.parameter_names()
    assert names["layers.1.mlp.fc1.weight"] == "layers.1.ffn.fc1.weight"
    assert names["layers.1.mlp.fc2.bias"] == "layers.1.ffn.fc2.bias"
    assert names["layers.1.attention.q_proj.bias"] == "layers.1.query.bias"
    assert names["layers.0.layernorm_after.bias"] == "layers.0.ffn_norm.bias"
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("split", "layers.2.fc1.weight", "layers.2.ffn_in.weight"),
        ("split", "layers.2.fc2.weight", "layers.2.ffn_out.weight"),
        ("joined", "layers.2.ffn.fc2.bias", "layers.2.ffn.fc2.bias"),
        ("macaron", "layers.0.ffn2.fc2.bias", "layers.0.ffn2.fc2.bias"),
        ("macaron", "layers.0.ffn2_norm.bias", "layers.0.ffn2_norm.bias"),
        ("split", "norm.bias", "final_norm.bias"),
    ],
)
def test_names_of_weights(kind, path, name):
    assert Sites(Encoder(kind)).parameter_names()[path] == name


# Widths and layers


@pytest.mark.parametrize("kind", ["split", "joined"])
def test_widths(kind):
    sites = Sites(Encoder(kind))
    widths = {
        name: sites.widths(sites.select([name])[0])
        for name in sites.layout.sites
    }
    assert widths.pop("ffn_in") == (D, INNER)
    assert widths.pop("ffn_out") == (INNER, D)
    assert set(widths.values()) == {(D, D)}
    names = ["query", "value", "output", "ffn_in", "ffn_out"]
    assert sites.linear() == names


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", [0, 1, 2]),
        ("last_1", [2]),
        ("last_3", [0, 1, 2]),
        ("all_but_last", [0, 1]),
        ([0, 2], [0, 2]),
        ((2, 0), [0, 2]),
    ],
)
def test_layers(layers, expected):
    sites = Sites(Encoder("split"))
    found = sites.select(["query", "ffn"], layers)
    assert [site.name for site in found] == [
        f"layers.{i}.{n}" for i in expected for n in ("query", "ffn")
    ]
    assert [s.name for s in sites.select_layers(layers)] == [
        f"layers.{i}" for i in expected
    ]


@pytest.mark.parametrize(
    "layers",
    ["last_0", "last_4", "last_", "xlast_1", "first_1", [], [3], [-1], [0, 0],
     [True], ["0"], [0.0], 1, None],
)  # fmt: skip
def test_layers_that_do_not_exist(layers):
    words = "choose all, last_<n>, all_but_last, or a list .*has 3 layers, 0 to"
    methods = [
        Insert(at=["ffn"], block=Bottleneck, layers=layers),
        LoRA(layers=layers),
        PromptTuning(tokens=2, deep=True, layers=layers),
        PrefixTuning(tokens=2, layers=layers),
    ]
    for method in methods:
        with pytest.raises(ValueError, match=words) as error:
            build("split", [method])
        assert f"layers is {layers!r}" in str(error.value)


@pytest.mark.parametrize(
    ("how", "works"),
    [
        ({}, True),
        ({"residual": True}, False),
        ({"placement": "sequential"}, True),
        ({"placement": "before"}, False),
        ({"placement": "before", "residual": False}, True),
    ],
)
def test_placements_where_the_width_changes(how, works):
    insert = Insert(
        at=["ffn_in"], block=partial(Bottleneck, reduction=4), **how
    )
    if works:
        step(build("joined", [insert]))
    else:
        with pytest.raises(ValueError, match="maps 16 values to 24.*residual"):
            build("joined", [insert])


# Blocks from one width to another


def numbers(module):
    return sum(p.numel() for p in module.parameters())


R, N, K = 3, 2, 5
BLOCKS = {
    "bottleneck": (
        partial(Bottleneck, reduction=4),
        lambda i, o: i * 4 + 4 + 4 * o + o,
    ),
    "convpass": (
        partial(ConvPass, reduction=4),
        lambda i, o: i * 4 + 4 + 4 * o + o + 3 * 4 * 4 + 4,
    ),
    "conformer": (
        partial(Conformer, reduction=4, kernel_size=K),
        lambda i, o: 2 * i * 4 + 8 + K * 4 + 4 + 8 + 4 * o + o,
    ),
    "low rank": (partial(LowRank, rank=R), lambda i, o: R * (i + o)),
    "dense": (
        partial(DenseMoA, expert=partial(Bottleneck, reduction=4), experts=N),
        lambda i, o: N * (i * 4 + 4 + 4 * o + o) + i * N + N,
    ),
    "soft": (
        partial(
            SoftMoA,
            expert=partial(Bottleneck, reduction=4),
            experts=N,
            slots=2,
        ),
        lambda i, o: N * (i * 4 + 4 + 4 * o + o) + i * N * 2,
    ),
    "soft of conformers": (
        partial(
            SoftMoA,
            expert=partial(Conformer, reduction=4, kernel_size=K),
            experts=N,
        ),
        lambda i, o: N * (2 * i * 4 + 8 + K * 4 + 4 + 8 + 4 * o + o) + i * N,
    ),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("layers", ["all", [1]])
def test_blocks_in_a_feed_forward(block, layers):
    """Zero at the start, with the counts of their formulas."""
    make, count = BLOCKS[block]
    torch.manual_seed(0)
    backbone = backbone_of(Encoder("joined"))
    plain = backbone.model(x())
    freeze(backbone, "none")
    insert = Insert(at=["ffn_in", "ffn_out"], block=make, layers=layers)
    blocks = insert_methods(
        backbone, [insert], train_norms=True, recompute="none"
    )
    each = count(D, INNER) + count(INNER, D)
    trained = [p for p in backbone.parameters() if p.requires_grad]
    n_layers = LAYERS if layers == "all" else len(layers)
    assert sum(p.numel() for p in trained) == n_layers * each
    out = backbone.model(x())
    assert torch.equal(out, plain)
    for _, block in blocks:
        for value in block.parameters():
            nn.init.normal_(value, std=0.3)
    backbone.model(x()).square().sum().backward()
    assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("layers", ["all", "last_1", "all_but_last", [0]])
def test_counts_on_a_subset_of_layers(layers, tiny_ast):
    """On AST of width 128, feed-forwards of 256, two layers."""
    n = 2 if layers == "all" else 1

    def trained(method):
        model = classifier(AST(tiny_ast, 100), LABELS, [method])
        return model.count_parameters()["petl_parameters"] - 256

    lora = LoRA(
        at=["query", "ffn_in", "ffn_out"], rank=3, alpha=1.0, layers=layers
    )
    assert trained(lora) == n * 3 * (256 + 384 + 384)
    insert = Insert(
        at=["attention", "ffn"],
        block=partial(Bottleneck, reduction=16),
        layers=layers,
    )
    assert trained(insert) == n * 2 * (2 * 128 * 8 + 8 + 128 + 256)
    assert trained(PrefixTuning(tokens=4, layers=layers)) == n * 4 * 128
    prompts = PromptTuning(tokens=4, deep=True, layers=layers)
    assert trained(prompts) == n * 4 * 128


def test_prompts_enter_at_the_first_of_their_layers(tiny_ast):
    model = classifier(
        AST(tiny_ast, 100),
        LABELS,
        [PromptTuning(tokens=4, deep=False, layers="last_1")],
    )
    shapes = []
    for layer in model.encoder.backbone.model.layers:
        layer.register_forward_hook(
            lambda _, __, out: shapes.append(out.shape[1])
        )
    model(torch.randn(2, 100, 128))
    assert list(model.encoder.inserted) == ["0.layers.1"]
    assert shapes == [2 + 48, 1 + 4 + 48]


@pytest.mark.parametrize(
    "method",
    [
        partial(Insert, at=["ffn"], block=partial(Bottleneck, reduction=16)),
        partial(LoRA, at=["query", "ffn_out"]),
        partial(PrefixTuning, tokens=4),
        partial(PromptTuning, tokens=4, deep=True),
    ],
    ids=["insert", "lora", "prefix", "prompts"],
)
def test_checkpoints_refuse_another_subset(method, tiny_ast, tmp_path):
    def model(layers):
        methods = [method(layers=layers)]
        return classifier(AST(tiny_ast, 100), LABELS, methods)

    save_trained(model([0]), tmp_path / "model")
    load_trained(model([0]), tmp_path / "model")
    for layers in ([1], "all", "last_1", "all_but_last"):
        with pytest.raises(CheckpointError, match=r"methods\[0\].layers"):
            load_trained(model(layers), tmp_path / "model")


# LoRA: its branch, its matrix, and encoders that read weights


@pytest.mark.parametrize("widths", [(D, D), (D, INNER), (INNER, D)])
def test_the_matrix_of_a_low_rank_block_is_its_branch(widths):
    torch.manual_seed(0)
    block = LowRank(*widths, rank=3, alpha=5.0)
    assert not block.delta().any()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    states = torch.randn(2, 7, widths[0])
    torch.testing.assert_close(
        block(states), states @ block.delta().t(), rtol=1e-5, atol=1e-5
    )
    linear = nn.Linear(*widths)
    adapted = Adapted(linear, block)
    by_weight = F.linear(states, adapted.weight, adapted.bias)
    torch.testing.assert_close(by_weight, adapted(states), rtol=1e-5, atol=1e-5)


class Parametrization(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, weight):
        return weight + self.block.delta()


def test_the_matrix_serves_torch_s_parametrize():
    block = LowRank(D, INNER)
    nn.init.normal_(block.lora_b.weight)
    linear = nn.Linear(D, INNER)
    expected = Adapted(linear, block)(x())
    torch.nn.utils.parametrize.register_parametrization(
        linear, "weight", Parametrization(block)
    )
    torch.testing.assert_close(linear(x()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recompute", ["none", "layer"])
@pytest.mark.parametrize("kind", ["split", "joined"])
def test_merged_lora_where_weights_are_read_and_where_layers_are_called(
    kind, recompute
):
    """Query and value are read by the attention, the others are called."""
    at = ["query", "value", "output", "ffn_in", "ffn_out"]
    backbone = build(kind, [LoRA(at=at, rank=2)], recompute=recompute)
    expected, grads = step(backbone)
    assert all(grad.any() for grad in grads)
    with torch.no_grad():
        unmerge = merge_methods(backbone)
        adapted = [m for m in backbone.modules() if isinstance(m, Adapted)]
        assert len(adapted) == LAYERS * len(at)
        assert all(module.merged for module in adapted)
        found = backbone.model(x())
        unmerge()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(step(backbone)[0], expected)


@pytest.mark.parametrize(
    "insert",
    [
        {"at": ["ffn"]},  # of another shape than fc2's weight, or of none
        {"at": ["output"], "placement": "sequential"},
        {"at": ["output"], "residual": True},
    ],
)
@pytest.mark.parametrize("kind", ["split", "joined"])
def test_what_is_no_sum_of_weights_is_not_merged(kind, insert):
    backbone = build(kind, [Insert(block=partial(LowRank, rank=2), **insert)])
    with torch.no_grad():
        expected = backbone.model(x())
        merge_methods(backbone)
        assert torch.equal(backbone.model(x()), expected)


def test_low_rank_blocks_inserted_are_lora():
    at = ["query", "ffn_in"]
    lora = build("joined", [LoRA(at=at, rank=2, alpha=3.0)])
    block = partial(LowRank, rank=2, alpha=3.0)
    insert = build("joined", [Insert(at=at, block=block)])
    torch.testing.assert_close(step(insert), step(lora), rtol=0, atol=0)


@pytest.mark.parametrize("rank", [0, 17])
def test_ranks_that_do_not_fit(rank):
    with pytest.raises(ValueError, match=f"rank is {rank}"):
        build("joined", [LoRA(rank=rank)])


def test_hidden_states_by_position_or_by_name():
    torch.manual_seed(0)
    block = Bottleneck(D, reduction=4, init_std=0.1)
    adapted = Adapted(Attention(), block)
    expected = adapted(x())[0]
    assert torch.equal(adapted(hidden_states=x())[0], expected)
    assert torch.equal(adapted(x(), attention_mask=None)[0], expected)
