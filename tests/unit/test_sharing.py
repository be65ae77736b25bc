"""Sub-modules that the blocks of a method have in common."""

import copy
import pickle
from functools import partial

import pytest
import torch
from test_methods import FRAMES, LABELS, Kind, from_yaml, train_steps

from petl_modules.backbones import AST
from petl_modules.blocks import Bottleneck, Conformer, LowRank, MambAdapter
from petl_modules.methods import Insert, merge_methods
from petl_modules.models import (
    combine,
    load_trained,
    save_trained,
    trained_state,
)
from petl_modules.training import require_gradients
from petl_modules.utils import CheckpointError, HparamsError
from tests.models import classifier

PAIR = ["down_proj", "up_proj"]
BOTTLENECK = partial(Bottleneck, reduction=16, init_std=0.02)
CASES = {
    "bottleneck": (BOTTLENECK, PAIR),
    "activation alone": (BOTTLENECK, ["inner"]),
    "up projection": (BOTTLENECK, "up_proj"),
    "conformer": (
        partial(Conformer, reduction=16, kernel_size=3),
        ["pointwise_in", "depthwise", "pointwise_out"],
    ),
    "lora": (partial(LowRank, rank=2), ["lora_a"]),
    "mambadapter": (partial(MambAdapter, reduction=16, init_std=0.02), PAIR),
    "within": (partial(MambAdapter, reduction=16), ["mamba.out_proj"]),
}


def build(tiny_ast, block, share, at=("attention", "ffn"), **settings):
    """A model with such blocks, drawn with one seed."""
    torch.manual_seed(0)
    method = Insert(at=list(at), block=block, share=share)
    return classifier(AST(tiny_ast, FRAMES), LABELS, [method], **settings)


def blocks_of(model):
    encoder = model.encoder
    return [encoder.get_submodule(p) for p in encoder.inserted.values()]


@pytest.fixture
def inputs(tiny_ast):
    return Kind("ast", tiny_ast).inputs()


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_module_counted_and_stored_once(case, tiny_ast, tmp_path):
    block, share = CASES[case]
    model = build(tiny_ast, block, share, train_norms=False)
    blocks = blocks_of(model)
    names = [share] if isinstance(share, str) else share
    for name in names:
        first = blocks[0].get_submodule(name)
        assert all(b.get_submodule(name) is first for b in blocks)
    common = sum(
        p.numel()
        for n in names
        for p in blocks[0].get_submodule(n).parameters()
    )
    each = sum(p.numel() for p in blocks[0].parameters())
    total = common + len(blocks) * (each - common)
    assert model.count_parameters()["petl_parameters"] == total
    state = trained_state(model)
    places = [value.data_ptr() for value in state.values() if value.numel()]
    assert len({*places}) == len(places)
    numbers = sum(
        v.numel() for k, v in state.items() if not k.startswith("head")
    )
    statistics = sum(b.numel() for m in blocks for b in m.buffers())
    assert numbers == total + statistics
    save_trained(model, tmp_path / "model.safetensors")
    other = build(tiny_ast, block, share, train_norms=False)
    with torch.no_grad():
        for parameter in other.encoder.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    load_trained(other, tmp_path / "model.safetensors")
    for name, value in trained_state(other).items():
        assert torch.equal(value, state[name])


def test_names_are_those_of_the_first_place(tiny_ast):
    model = build(tiny_ast, BOTTLENECK, PAIR)
    names = {n for n in trained_state(model) if n.endswith("up_proj.weight")}
    assert names == {"0.layers.0.attention.up_proj.weight"}


def test_gradients_are_the_sum_over_all_places(tiny_ast, inputs):
    models = [build(tiny_ast, BOTTLENECK, share) for share in ([], PAIR)]
    apart, shared = map(blocks_of, models)
    for block in apart:
        block.load_state_dict(shared[0].state_dict())
    models[0].head.load_state_dict(models[1].head.state_dict())
    for model in models:
        model.eval()(inputs).square().sum().backward()
    for name, parameter in shared[0].named_parameters():
        total = sum(block.get_parameter(name).grad for block in apart)
        torch.testing.assert_close(parameter.grad, total, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recompute", ["feed_forward", "layer"])
def test_gradients_with_activation_checkpointing(recompute, tiny_ast, inputs):
    found = []
    for choice in ("none", recompute):
        model = build(tiny_ast, *CASES["mambadapter"], recompute=choice)
        model.eval()(inputs).square().sum().backward()
        found.append([p.grad for b in blocks_of(model) for p in b.parameters()])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_share_among_themselves_alone(clone, tiny_ast, inputs):
    model = build(tiny_ast, *CASES["mambadapter"])
    before = {k: v.clone() for k, v in trained_state(model).items()}
    twin = clone(model)
    assert trained_state(twin).keys() == before.keys()
    assert len({id(block.up_proj) for block in blocks_of(twin)}) == 1
    train_steps(twin, inputs)
    for name, value in trained_state(model).items():
        assert torch.equal(value, before[name])
    after = trained_state(twin)
    assert not torch.equal(
        after["0.layers.0.attention.up_proj.weight"],
        before["0.layers.0.attention.up_proj.weight"],
    )


def test_every_fold_starts_fresh(tiny_ast, inputs):
    """The released code goes on with the projections of the fold before."""

    def fold(seed):
        torch.manual_seed(seed)
        return from_yaml("mambadapter", tiny_ast)

    fresh = {k: v.clone() for k, v in trained_state(fold(2)).items()}
    first = fold(1)
    train_steps(first, inputs)
    trained = {k: v.clone() for k, v in trained_state(first).items()}
    second = fold(2)
    for name, value in trained_state(second).items():
        assert torch.equal(value, fresh[name])
    train_steps(second, inputs)
    for name, value in trained_state(first).items():
        assert torch.equal(value, trained[name])


def test_the_model_knows_positions(tiny_ast):
    """In the released code, all of them are 0."""
    embeddings = from_yaml("mambadapter", tiny_ast).encoder.backbone.model
    positions = embeddings.embeddings.position_embeddings
    assert (positions[0].norm(dim=-1) > 0).all()


def test_a_checkpoint_does_not_fit_a_model_that_shares_other_modules(
    tiny_ast, tmp_path
):
    save_trained(build(tiny_ast, BOTTLENECK, PAIR), tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"share.*up_proj"):
        load_trained(build(tiny_ast, BOTTLENECK, []), tmp_path / "model")


def test_lora_that_shares_is_merged(tiny_ast, inputs):
    block = partial(LowRank, rank=2)
    model = build(tiny_ast, block, ["lora_a"], ["query", "value"]).eval()
    train_steps(model, inputs)
    with torch.no_grad():
        expected = model.eval()(inputs)
        merge_methods(model)
        torch.testing.assert_close(model(inputs), expected)


def test_lora_that_shares_is_not_combined(tiny_ast):
    block = partial(LowRank, rank=2)
    model = build(tiny_ast, block, ["lora_a"], ["query"])
    one = trained_state(model), model.settings()
    with pytest.raises(HparamsError, match=r"layers\.1\.query shares"):
        combine([one, one], [0.5, 0.5])


def test_adapters_that_share_are_combined(tiny_ast):
    model = build(tiny_ast, BOTTLENECK, PAIR)
    one = trained_state(model), model.settings()
    mean = combine([one, one], [0.5, 0.5]).state
    for name, value in trained_state(model).items():
        torch.testing.assert_close(mean[name], value)


def test_a_missing_gradient_is_named_by_the_first_place(tiny_ast):
    model = build(tiny_ast, BOTTLENECK, PAIR)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    require_gradients(model, optimizer)
    model.head.bias.grad = torch.zeros_like(model.head.bias)
    with pytest.raises(
        RuntimeError, match=r"up_proj.bias \(Insert at layers.0"
    ):
        optimizer.step()


@pytest.mark.parametrize(
    ("share", "words", "at"),
    [
        (["up"], "'up' is no sub-module of Conformer; sub-modules: norm, po", ["ffn"]),
        ([""], "'' is no sub-module", ["ffn"]),
        (["batch_norm"], "'batch_norm' of Conformer has buffers", ["ffn"]),
        (["pointwise_in"], r"'pointwise_in' cannot be the same .* \(16, 128\).* and .* \(16, 256\).* layers.0.ffn_out", ["ffn_in", "ffn_out"]),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_an_error(share, words, at, tiny_ast):
    block = partial(Conformer, reduction=16)
    with pytest.raises(HparamsError, match=words):
        build(tiny_ast, block, share, at)
