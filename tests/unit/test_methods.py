"""Methods x checks, on the recipe's own YAML files."""

import copy
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import (
    ASTConfig,
    ASTModel,
    Wav2Vec2Model,
)

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import (
    Bottleneck,
    Conformer,
    ConvPass,
    DenseMoA,
    SoftMoA,
)
from petl_modules.methods import Insert, LoRA, PrefixTuning, PromptTuning
from petl_modules.models import load_trained, save_trained
from petl_modules.runs import RecipeFile
from tests.models import classifier
from tests.readmes import row_of

pytestmark = pytest.mark.covering("case", "kind")
ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
HPARAMS = RECIPES / "ESC50" / "hparams"
SPEECH = RECIPES / "GSC" / "hparams"
FILES = sorted(path.stem for path in HPARAMS.glob("*.yaml"))
ENCODERS = ("w2v_bert", "wav2vec2", "whisper")  # bases, and files for one
FILES = [stem for stem in FILES if not stem.endswith(ENCODERS)]
# A file of its own where values differ between the backbones
ON_WAV2VEC2 = {
    "ast": "wav2vec2",
    "conformer": "conformer_wav2vec2",
    "convpass": "convpass_wav2vec2",
    "ipet": "ipet_wav2vec2",
}
LABELS = [str(label) for label in range(50)]
FRAMES = 500

BOTTLENECK = partial(Bottleneck, reduction=16)
# What the YAML files do not cover
COMPOSED = {
    "prompts + adapter": [
        PromptTuning(tokens=5, deep=True),
        Insert(at=["ffn"], block=BOTTLENECK),
    ],
    "all at once": [
        Insert(at=["attention", "ffn"], block=BOTTLENECK),
        Insert(
            at=["attention"],
            block=partial(ConvPass, reduction=16),
            layers="last_1",
        ),
        LoRA(
            at=["query", "key", "value", "output", "ffn_in", "ffn_out"],
            rank=3,
            alpha=1.0,
        ),
        PrefixTuning(tokens=4),
        PromptTuning(tokens=3, deep=False),
    ],
    "conformer experts": [
        Insert(
            at=["ffn"],
            block=partial(
                SoftMoA, expert=partial(Conformer, reduction=16), experts=2
            ),
        ),
        Insert(
            at=["attention"],
            block=partial(
                DenseMoA, expert=partial(Conformer, reduction=16), experts=2
            ),
        ),
    ],
}
# What Mamba selects by
SELECTION = ("A_log", "x_proj.weight", "dt_proj.weight", "dt_proj.bias")
NOT_THE_IDENTITY = {
    "attentive_layers",
    "prompt_shallow",
    "prompt_deep",
    "prefix",
    "ipet",
    "prompts + adapter",
    "all at once",
}


def from_yaml(stem, backbone, base=None, **changes):
    """The tuned model of a recipe file."""
    folder, part = HPARAMS, None
    if base:
        if stem in ("ipet_prompt", "ipet_adapter"):
            stem, _, part = stem.partition("_")
        folder, stem = SPEECH, ON_WAV2VEC2.get(stem, stem)
        base = base if stem not in ON_WAV2VEC2.values() else None
    recipe = RecipeFile.read(folder / f"{stem}.yaml", base)
    if part:  # IPET's component alone
        changes["methods"] = [recipe.tree[part]]
    if folder == HPARAMS:
        changes = {"frames": FRAMES, **changes}
    recipe.update({"backbone": backbone, "labels": LABELS, **changes})
    return recipe.make(["model"])["model"]


class Kind:
    """One of the backbones that every method is checked on."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.speech = name != "ast"
        self.base = "wav2vec2.yaml" if self.speech else None

    def backbone(self):
        if self.speech:
            return Wav2Vec2(self.folder)
        return AST(self.folder, FRAMES)

    def build(self, case):
        torch.manual_seed(0)
        if case in COMPOSED:
            how = {"pooling": "speech", "train_norms": False}
            return classifier(
                self.backbone(),
                LABELS,
                COMPOSED[case],
                **(how if self.speech else {}),
            )
        if case == "lora + bitfit":
            return self.from_yaml("lora", train_backbone="biases")
        if case == "last layer":
            return self.from_yaml("bottleneck", train_backbone="last_1")
        return self.from_yaml(case)

    def from_yaml(self, stem, **changes):
        return from_yaml(stem, self.folder, self.base, **changes)

    def inputs(self):
        torch.manual_seed(1)
        shape = (2, 5_000) if self.speech else (2, FRAMES, 128)
        return torch.randn(*shape)

    def frozen(self, inputs):
        """Hidden states of Hugging Face's own model."""
        if self.speech:
            model = Wav2Vec2Model.from_pretrained(
                self.folder, attn_implementation="sdpa"
            )
        else:
            model = ASTModel.from_pretrained(
                self.folder, attn_implementation="sdpa"
            )
            cut = self.backbone().model.embeddings.position_embeddings
            model.embeddings.position_embeddings = cut
        with torch.no_grad():
            return model.eval()(inputs).last_hidden_state


# Prompts alone are prompt_deep's, other places houlsby's, a scaled bottleneck
# with ReLU ipet's, and each of two heads attentive_layers'. LoRA experts are
# dense_moa_lora's, and slots soft_moa's
LEFT_OUT = {"adaptformer", "attentive", "layer_sum"}
LEFT_OUT |= {"ipet_prompt", "mambadapter_houlsby", "soft_moa_lora"}
LEFT_OUT |= {"rslora", "lora_plus"}  # LoRA with another scale or rate
CASES = [stem for stem in FILES if stem not in LEFT_OUT]
CASES += [*COMPOSED, "lora + bitfit", "last layer"]


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.fixture
def model(case, kind):
    return kind.build(case)


@pytest.fixture
def inputs(kind):
    return kind.inputs()


@pytest.fixture
def spectrograms(tiny_ast):
    return Kind("ast", tiny_ast).inputs()


def test_step_0_equals_the_frozen_model(case, kind, model, inputs):
    """Against Hugging Face's own model, bit for bit."""
    with torch.no_grad():
        hidden = kind.frozen(inputs)
        if case.startswith("ipet") and not kind.speech:
            hidden = hidden[:, :2]  # CLS and distillation
        expected = model.head(model.pooling(hidden))
        same = torch.equal(model.eval()(inputs), expected)
    assert same == (case not in NOT_THE_IDENTITY)


def train_steps(model, inputs, steps=2):
    """A few steps; returns, by name, whether a gradient was ever not 0."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
    targets = torch.tensor([3, 7])
    seen = dict.fromkeys(trained, False)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model.train()(inputs), targets)
        loss.backward()
        for name, parameter in trained.items():
            assert parameter.grad is not None, name
            seen[name] |= bool(parameter.grad.abs().max() > 1e-7)
        optimizer.step()
    return seen


def test_every_declared_parameter_has_its_gradient(model, inputs):
    still = [
        name for name, moved in train_steps(model, inputs).items() if not moved
    ]
    for name in still:  # softmax and BatchNorm do not see these
        unseen = name.endswith(("k_proj.bias", "depthwise.bias"))
        unseen |= "k_proj." in name and name.endswith(".shift")
        # At first as small as rounding; test_blocks shows that they learn
        assert unseen or name.endswith(SELECTION), name


def test_frozen_weights_stay(model, inputs):
    frozen = {n: p for n, p in model.named_parameters() if not p.requires_grad}
    before = {name: p.clone() for name, p in frozen.items()}
    train_steps(model, inputs)
    for name, parameter in frozen.items():
        assert parameter.grad is None and torch.equal(parameter, before[name])


def test_frozen_parts_are_in_eval_mode_while_training(case, model):
    model.train()
    blocks = {
        id(module)
        for path in model.encoder.inserted.values()
        for module in model.encoder.get_submodule(path).modules()
    }
    layer = model.encoder.backbone.sites.module("layers.1")
    last = {id(m) for m in layer.modules() if case == "last layer"}
    for module in model.encoder.backbone.model.modules():
        trained = id(module) in blocks | last or case == "full_finetuning"
        assert module.training == trained
    assert model.head.training
    model.eval()
    assert not any(module.training for module in model.modules())


def test_backbone_dropout_is_off_while_training(kind, inputs):
    model = kind.build("bottleneck")
    for module in model.encoder.backbone.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    model.train()
    assert torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_independent(model, inputs, clone):
    twin = clone(model)
    expected = model.eval()(inputs)
    assert torch.equal(twin.eval()(inputs), expected)
    train_steps(twin, inputs)
    assert torch.equal(model.eval()(inputs), expected)
    assert not torch.equal(twin.eval()(inputs), expected)


def test_saved_and_loaded_it_is_the_same(case, kind, model, inputs, tmp_path):
    train_steps(model, inputs)
    save_trained(model, tmp_path / "model")
    other = kind.build(case).eval()
    load_trained(other, tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(other(inputs), model.eval()(inputs))


def test_bf16_autocast(model, inputs):
    with torch.no_grad():
        expected = model.eval()(inputs)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(inputs)
    assert (out.float() - expected).abs().max() < 0.05 * expected.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(inputs).float().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_compiles_without_a_graph_break(kind, inputs):
    model = kind.build("soft_moa").eval()
    with torch.no_grad():
        out = torch.compile(model, fullgraph=True, backend="aot_eager")(inputs)
        torch.testing.assert_close(out, model(inputs), rtol=1e-4, atol=1e-5)


# Placements and poolings against their formulas


class Echo(nn.Module):
    """A block with a known answer."""

    def __init__(self, d_in, d_out=None):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.25))

    def forward(self, x, mask=None):
        return self.weight * x.flip(-1)


@pytest.mark.parametrize("site", ["attention", "ffn"])
@pytest.mark.parametrize(
    ("placement", "residual", "formula"),
    [
        ("parallel", None, lambda base, block, x: base(x) + block(x)),
        ("parallel", True, lambda base, block, x: base(x) + block(x) + x),
        ("sequential", None, lambda base, block, x: base(x) + block(base(x))),
        ("sequential", False, lambda base, block, x: block(base(x))),
        ("before", None, lambda base, block, x: base(block(x)) + block(x)),
        ("before", False, lambda base, block, x: base(block(x))),
    ],
)
def test_placements(site, placement, residual, formula, tiny_ast, spectrograms):
    insert = Insert(
        at=[site], block=Echo, placement=placement, residual=residual
    )
    model = classifier(AST(tiny_ast, FRAMES), LABELS, [insert]).eval()
    plain = AST(tiny_ast, FRAMES).eval()
    block = Echo(128)
    for layer in plain.model.layers:
        part = layer.attention if site == "attention" else layer.mlp
        original = part.forward

        def adapted(x, *args, original=original, **kwargs):
            if site == "ffn":
                return formula(original, block, x)

            def attend(y):
                return original(y, *args, **kwargs)[0]

            return formula(attend, block, x), None

        part.forward = adapted
    with torch.no_grad():
        expected = plain(spectrograms)
        out = model.encoder.backbone(spectrograms)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "part"),
    [
        ("all", slice(None)),
        ("cls", slice(1)),
        ("prompts", slice(1, 5)),
        ("speech", slice(5, None)),
        ("prompts+speech", slice(1, None)),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_poolings_with_prompts(pooling, part, deep, tiny_ast, spectrograms):
    methods = [PromptTuning(tokens=4, deep=deep)]
    backbone = AST(tiny_ast, FRAMES)
    model = classifier(backbone, LABELS, methods, pooling=pooling).eval()
    hidden = backbone(spectrograms)
    assert hidden.shape[1] == 1 + 4 + 8 * 31
    expected = model.head(hidden[:, part].mean(1))
    torch.testing.assert_close(model(spectrograms), expected)


@pytest.mark.parametrize(
    ("pooling", "part"),
    [
        ("cls", slice(1)),
        ("cls+distillation", slice(2)),
        ("prompts", slice(2, 6)),
        ("speech", slice(6, None)),
        ("prompts+speech", slice(2, None)),
    ],
)
def test_poolings_where_distillation_stays(
    pooling, part, tiny_ast, spectrograms
):
    prompts = PromptTuning(tokens=4, deep=True, replace_distillation=False)
    backbone = AST(tiny_ast, FRAMES)
    model = classifier(backbone, LABELS, [prompts], pooling=pooling).eval()
    hidden = backbone(spectrograms)
    assert hidden.shape[1] == 2 + 4 + 8 * 31
    expected = model.head(hidden[:, part].mean(1))
    torch.testing.assert_close(model(spectrograms), expected)


def test_speech_pooling_without_prompts_leaves_both_tokens_out(
    tiny_ast, spectrograms
):
    model = classifier(AST(tiny_ast, FRAMES), LABELS, pooling="speech").eval()
    expected = model.head(model.encoder.backbone(spectrograms)[:, 2:].mean(1))
    torch.testing.assert_close(model(spectrograms), expected)


# Exact counts at AST-base size are in README.md; see docs/fidelity.md

FINAL_NORM = 1536
EXPERTS = 12 * 2 * 4 * 4 * (768 + 768)  # 4 of rank 4 at query and value
MIXTURES_OF_LORA = {
    "soft_moa_lora": EXPERTS + 12 * 2 * 768 * 4,
    "dense_moa_lora": EXPERTS + 12 * 2 * (768 * 4 + 4),
}


class Mine:
    """A method that the project does not know."""

    def __init__(self, size):
        self.size = size

    def insertions(self, sites):
        return []


def test_a_method_of_ones_own_is_described(tiny_ast):
    model = classifier(AST(tiny_ast, FRAMES), LABELS, [Mine(size=3)])
    assert model.encoder.settings()["methods"] == [{"class": "Mine", "size": 3}]


@pytest.fixture(scope="module")
def ast_base(tmp_path_factory):
    """AST-base with the original's sizes and random weights."""
    folder = tmp_path_factory.mktemp("ast-base")
    torch.manual_seed(0)
    model = ASTModel(ASTConfig())
    nn.init.normal_(model.embeddings.position_embeddings, std=0.02)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("stem", FILES)
def test_counts_at_768(stem, ast_base, tmp_path):
    model = from_yaml(stem, ast_base)
    counts = model.count_parameters()
    head = 768 * 50 + 50 + (2 * 768 if stem.startswith("ipet") else 0)
    if stem.startswith("attentive"):
        head += 768  # the query
    if stem == "prototypes":
        head = 200 * 768 + 200 * 50 + 50
    told = int(row_of(stem, ROOT / "README.md")["AST"].replace(",", ""))
    assert counts["petl_parameters"] == told
    assert counts["trainable_parameters"] == told + head
    if stem in ("ast", "linear"):
        assert counts["trainable_parameters"] == 39_986
    if stem == "convpass":  # and the norms of both sublayers
        assert told == 327_552 + 24 * FINAL_NORM + FINAL_NORM
    if stem == "adaptformer":
        assert told == 1_189_632 + 12 * FINAL_NORM + FINAL_NORM
    if stem in MIXTURES_OF_LORA:
        assert told == MIXTURES_OF_LORA[stem] + FINAL_NORM
    if stem == "gc_lora":  # what is between A and B: see docs/fidelity.md
        assert told == 12 * (2 * 768 * 8 + 488) + FINAL_NORM
    if stem == "soft_moa":
        save_trained(model, tmp_path / "model.safetensors")
        assert counts["trainable_parameters"] == 962_090
        size = (tmp_path / "model.safetensors").stat().st_size
        assert 4 * 962_090 < size < 3.9e6


@pytest.mark.parametrize(
    ("frames", "expected"), [(400, 85_615_872), (100, 85_339_392)]
)
def test_full_fine_tuning_counts_by_length(frames, expected, ast_base):
    model = from_yaml("full_finetuning", ast_base, frames=frames)
    assert model.count_parameters()["petl_parameters"] == expected


def test_conformer_for_speech_at_768(ast_base):
    model = from_yaml("conformer", ast_base, kernel_size=31)
    assert model.count_parameters()["petl_parameters"] == 252_288 + FINAL_NORM


def test_lora_of_rank_12_at_768(ast_base):
    model = from_yaml("lora", ast_base, rank=12)
    assert model.count_parameters()["petl_parameters"] == 442_368 + FINAL_NORM


def test_convpass_and_adaptformer_have_the_sizes_of_their_papers(ast_base):
    for stem, blocks in (("convpass", 327_552), ("adaptformer", 1_189_632)):
        model = from_yaml(stem, ast_base, train_norms=False)
        assert model.count_parameters()["petl_parameters"] == blocks


def test_mambadapter_with_a_pair_for_each_place_at_768(ast_base):
    model = from_yaml("mambadapter", ast_base, share=[])
    assert model.count_parameters()["petl_parameters"] == 277_296 + 12  # alpha


def test_linear_with_10_classes_at_768(ast_base):
    model = classifier(AST(ast_base, FRAMES), LABELS[:10])
    assert model.count_parameters()["trainable_parameters"] == 9_226


# What cannot work


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Insert(at=["atention"], block=BOTTLENECK), "no site 'atention' in audio-spectrogram-transformer; sites: attention, query"),
        (lambda: Insert(at="ffn", block=BOTTLENECK), "takes a list of sites"),
        (lambda: Insert(at=["ffn", "ffn"], block=BOTTLENECK), "a site twice"),
        (lambda: Insert(at=[], block=BOTTLENECK), "takes a list of sites"),
        (lambda: Insert(at=["ffn"], block=BOTTLENECK, placement="beside"), "no placement 'beside'"),
        (lambda: Insert(at=["ffn"], block=partial(Bottleneck, reduction=129)), "reduction 129"),
        (lambda: LoRA(at=["ffn"]), "linear layers, and 'ffn' is none; choose from query"),
        (lambda: LoRA(rank=0), "rank is 0"),
        (lambda: LoRA(alpha=float("inf")), "alpha is inf: choose a finite one"),
        (lambda: PromptTuning(tokens=0, deep=True), "tokens is 0"),
        (lambda: PromptTuning(tokens=1, deep=True, init="zero"), "init 'zero' of prompt tuning is none of: vpt, xavier"),
        (lambda: PrefixTuning(tokens=5), "tokens is 5"),
        (lambda: PrefixTuning(tokens=0), "tokens is 0"),
    ],
)  # fmt: skip
def test_bad_methods(make, words, tiny_ast):
    with pytest.raises(ValueError, match=words):
        classifier(AST(tiny_ast, FRAMES), LABELS, [make()])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pooling": "mean"}, "pooling 'mean'"),
        ({"pooling": "prompts"}, "takes prompts, and no method"),
        ({"train_backbone": "bias"}, "train_backbone 'bias'"),
        ({"methods": [PromptTuning(tokens=2, deep=d) for d in (True, False)]}, "contains prompt tuning twice"),
        ({"methods": [PrefixTuning(tokens=n) for n in (2, 4)]}, "contains prefix tuning twice"),
    ],
)  # fmt: skip
def test_bad_settings(settings, words, tiny_ast):
    settings = {"labels": LABELS, **settings}
    with pytest.raises(ValueError, match=words):
        classifier(AST(tiny_ast, FRAMES), **settings)
