"""Checkpoints: what they hold, where they fit, and what is refused."""

import copy
import json
import subprocess
import sys
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from petl_modules.backbones import AST, Wav2Vec2, write_tiny_ast
from petl_modules.blocks import Bottleneck, Conformer
from petl_modules.methods import (
    Insert,
    LoRA,
    PrefixTuning,
    PromptTuning,
    merge_methods,
)
from petl_modules.models import (
    load_trained,
    read_trained,
    save_trained,
    trained_state,
    weights_sha256,
)
from petl_modules.models.weights_file import write_trained
from petl_modules.utils import CheckpointError
from tests.models import classifier

METHODS = {
    "linear": lambda: [],
    "conformer": lambda: [
        Insert(at=["attention", "ffn"], block=partial(Conformer, reduction=16))
    ],
    "composed": lambda: [
        Insert(at=["ffn"], block=Bottleneck),
        LoRA(rank=2),
        PrefixTuning(tokens=4),
        PromptTuning(tokens=3, deep=True),
    ],
}


def build(folder, method="conformer", seed=0, frames=100, **settings):
    torch.manual_seed(seed)
    settings = {"labels": ["cat", "dog"], **settings}
    return classifier(
        AST(folder, frames), methods=METHODS[method](), **settings
    )


def train(model):
    """A few steps, so that statistics and weights are all their own."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(torch.randn(4, 100, 128)).square().sum().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("train_backbone", ["none", "biases", "all"])
def test_loads_into_another_model(method, train_backbone, tiny_ast, tmp_path):
    model = train(build(tiny_ast, method, train_backbone=train_backbone))
    save_trained(model, tmp_path / "model")
    other = build(
        tiny_ast, method, seed=1, train_backbone=train_backbone
    ).eval()
    x = torch.randn(2, 100, 128)
    assert not torch.equal(other(x), model(x))
    load_trained(other, tmp_path / "model")
    assert torch.equal(other(x), model(x))
    assert weights_sha256(other) == weights_sha256(model)


FRESH = """
import sys, torch
sys.path.insert(0, sys.argv[4])
from test_checkpoint import build, load_trained
model = build(sys.argv[1], seed=5).eval()
load_trained(model, sys.argv[2])
x = torch.load(sys.argv[3], weights_only=True)
torch.save(model(x).detach(), sys.argv[3])
"""


def test_a_fresh_process_gives_the_same_bits(tiny_ast, tmp_path, request):
    model = train(build(tiny_ast))
    save_trained(model, tmp_path / "model")
    x = torch.randn(4, 100, 128)
    torch.save(x, tmp_path / "x")
    words = [tiny_ast, tmp_path / "model", tmp_path / "x", request.path.parent]
    subprocess.run([sys.executable, "-c", FRESH, *words], check=True)
    assert torch.equal(torch.load(tmp_path / "x"), model(x))


def test_keys_are_sites_and_hold_what_is_trained_alone(tiny_ast, tmp_path):
    model = build(tiny_ast)
    save_trained(model, tmp_path / "model")
    with safe_open(tmp_path / "model", "pt") as file:
        names = set(file.keys())
        about = json.loads(file.metadata()["petl"])
    trained = sum(p.requires_grad for p in model.parameters())
    buffers = sum(name.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked") for name in names)  # fmt: skip
    assert len(names) == trained + buffers and buffers == 12
    assert {n.split(".")[0] for n in names} == {"0", "head", "backbone"}
    assert "0.layers.1.ffn.depthwise.weight" in names
    assert "backbone.layers.0.attention_norm.bias" in names
    assert "backbone.final_norm.weight" in names
    settings = about["settings"]
    assert settings["must_match"] == {"labels": ["cat", "dog"]}
    assert settings["pooling"] == {"class": "MeanPooling"}
    assert settings["head"] == {"class": "Linear", "out_features": 2}
    assert settings["encoder"]["backbone"]["positions"] == "center_cut"
    assert settings["encoder"]["methods"][0]["block"]["reduction"] == 16
    assert about["format"] == 3
    assert torch.__version__.startswith(about["versions"]["torch"])


@pytest.fixture
def saved(tiny_ast, tmp_path):
    save_trained(build(tiny_ast), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "linear"}, r"methods: \[\{'class': 'Insert'"),
        ({"labels": ["cat", "cow"]}, r"labels\[1\]: 'dog' in the file, 'cow'"),
        (
            {"labels": ["cat", "dog", "cow"]},
            r"head.bias: \(2,\) float32 in the file",
        ),
        ({"frames": 116}, "backbone.frames: 100 in the file, 116"),
        ({"pooling": "cls"}, "encoder.tokens: 'all' in the file, 'cls'"),
        ({"train_norms": False}, "final_norm.bias: .* in the file, absent"),
    ],
)
def test_what_does_not_fit_is_listed(changes, words, saved, tiny_ast):
    model = build(tiny_ast, **changes)
    before = {k: v.clone() for k, v in trained_state(model).items()}
    with pytest.raises(CheckpointError, match=words):
        load_trained(model, saved)
    after = trained_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_other_names_with_the_same_settings_name_the_version(saved, tiny_ast):
    state, about = read_trained(saved)
    state = {f"0.old.{name}": value for name, value in state.items()}
    write_trained(state, about["settings"], saved)
    with pytest.raises(CheckpointError, match="another version of this proj"):
        load_trained(build(tiny_ast), saved)


def test_another_backbone_of_the_same_size_does_not_fit(saved, tmp_path):
    write_tiny_ast(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="backbone.weights"):
        load_trained(build(str(tmp_path / "other")), saved)


@pytest.mark.parametrize("length", [0, 7, 100, 1000, -1])
def test_a_truncated_file_is_an_error(length, saved, tiny_ast):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_trained(build(tiny_ast), saved)


def test_a_file_of_other_weights_is_an_error(tiny_ast):
    with pytest.raises(CheckpointError, match="no checkpoint of a tuned model"):
        load_trained(build(tiny_ast), f"{tiny_ast}/model.safetensors")


# Verification


def rewrite(file, change=lambda state, metadata: None):
    """Write a file again as an attacker of its tensors would."""
    with safe_open(file, "pt") as opened:
        state = {name: opened.get_tensor(name) for name in opened.keys()}
        metadata = opened.metadata()
    change(state, metadata)
    save_file(state, file, metadata)


def as_format_2(state, metadata):
    """Take away the digest, as files of format 2 have none."""
    about = json.loads(metadata["petl"])
    del about["settings"]["encoder"]["backbone"]["config"]
    metadata["petl"] = json.dumps({**about, "format": 2})
    del metadata["sha256"]


def test_every_flipped_bit_is_an_error(saved):
    """In header, metadata and tensors: one bit in each of 400 places."""
    whole = saved.read_bytes()
    generator = torch.Generator().manual_seed(0)
    header = int.from_bytes(whole[:8], "little") + 8
    places = torch.randint(header, (200,), generator=generator).tolist()
    places += torch.randint(len(whole), (200,), generator=generator).tolist()
    for place in places:
        bit = 1 << (place % 8)
        flipped = bytes([whole[place] ^ bit])
        saved.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=str(saved)):
            read_trained(saved)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("dtype", ["I32", "U32"])
def test_a_lie_about_the_dtype_is_an_error(dtype, old, saved, tiny_ast):
    if old:
        rewrite(saved, as_format_2)
    content = saved.read_bytes()
    place = content.index(b'"head.bias":')
    changed = content[place:].replace(b'"F32"', f'"{dtype}"'.encode(), 1)
    saved.write_bytes(content[:place] + changed)
    words = "head.bias: .*int32 in the file, .*float32" if old else "SHA-256"
    with pytest.raises(CheckpointError, match=words):
        load_trained(build(tiny_ast), saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_an_error(value, saved, tiny_ast):
    def change(state, metadata):
        as_format_2(state, metadata)
        state["head.weight"][1, 5] = value

    rewrite(saved, change)
    with pytest.raises(CheckpointError, match="head.weight holds values that"):
        load_trained(build(tiny_ast), saved)


def test_a_model_that_diverged_is_not_loaded_again(tiny_ast, tmp_path):
    model = build(tiny_ast)
    model.head.bias.data[0] = float("nan")
    save_trained(model, tmp_path / "model")
    with pytest.raises(CheckpointError, match="head.bias .* not finite"):
        load_trained(model, tmp_path / "model")


def test_files_of_format_2_load(saved, tiny_ast):
    state, _ = read_trained(saved)
    rewrite(saved, as_format_2)
    model = build(tiny_ast, seed=3)
    load_trained(model, saved)
    assert all(
        torch.equal(v, state[k]) for k, v in trained_state(model).items()
    )


def test_a_file_without_the_newer_arguments_of_a_method_loads(saved, tiny_ast):
    state, about = read_trained(saved)
    for method in about["settings"]["encoder"]["methods"]:
        del method["reads"]
    write_trained(state, about["settings"], saved)
    load_trained(build(tiny_ast), saved)


def test_the_digest_is_that_of_the_model(saved, tiny_ast):
    model = build(tiny_ast, seed=3)
    other = weights_sha256(model)
    with pytest.raises(CheckpointError, match="than those of its result"):
        load_trained(model, saved, other)
    assert weights_sha256(model) == other
    load_trained(model, saved, weights_sha256(build(tiny_ast)))


def test_names_that_change_places_are_an_error(saved):
    """The bytes are the same, and so are the shapes."""

    def change(state, metadata):
        one, other = (f"backbone.layers.{i}.ffn_norm.weight" for i in (0, 1))
        state[one], state[other] = state[other], state[one]

    rewrite(saved, change)
    with pytest.raises(CheckpointError, match="SHA-256"):
        read_trained(saved)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "7",
        "[" * 100_000,
        '{"format": 2}',
        '{"format": 2, "settings": []}',
        '{"format": 1, "settings": {"backbone": 3}}',
        '{"format": 3, "settings": {"encoder": null}}',
        '{"format": []}',
    ],
)
def test_damaged_metadata_is_an_error(text, saved):
    rewrite(saved, lambda state, metadata: metadata.update({"petl": text}))
    with pytest.raises(CheckpointError, match=str(saved)):
        read_trained(saved)
    rewrite(saved, lambda state, metadata: metadata.pop("sha256"))
    with pytest.raises(CheckpointError, match=str(saved)):
        read_trained(saved)


# Merged LoRA, and the encoder taken out


@pytest.fixture
def merged(tiny_ast):
    """A model with LoRA merged into it, and what undoes that."""
    model = train(
        classifier(
            AST(tiny_ast, 100), ["a", "b"], [LoRA(rank=2)], train_backbone="all"
        )
    )
    return model, merge_methods(model)


def test_a_merged_model_takes_and_gives_nothing(merged, tmp_path):
    model, undo = merged
    undo()
    save_trained(model, tmp_path / "model")
    x = torch.randn(2, 100, 128)
    expected = model(x)
    merge_methods(model)
    before = model(x)
    for use in (load_trained, save_trained):
        with pytest.raises(CheckpointError, match="Methods are merged"):
            use(model, tmp_path / "model")
    assert torch.equal(model(x), before)
    undo()
    load_trained(model, tmp_path / "model")
    assert torch.equal(model(x), expected)


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_is_taken_out_right_or_not_at_all(
    method, tiny_ast, tmp_path
):
    """The truth: what transformers makes of the saved folder."""
    model = train(build(tiny_ast, method, train_backbone="all"))
    encoder = model.encoder.backbone.model
    if METHODS[method]():
        with pytest.raises(CheckpointError, match="save_pretrained"):
            encoder.save_pretrained(tmp_path / "out")
        with pytest.raises(CheckpointError, match="save_pretrained"):
            copy.deepcopy(encoder).save_pretrained(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    encoder.save_pretrained(tmp_path / "out")
    x = torch.randn(2, 100, 128)
    expected = encoder(x).last_hidden_state
    again = AST(str(tmp_path / "out"), 100).eval()(x)
    torch.testing.assert_close(again, expected)


def test_a_wav2vec2_encoder_is_not_taken_out(tiny_wav2vec2, tmp_path):
    """Its position convolution is folded."""
    model = Wav2Vec2(tiny_wav2vec2["group"]).model
    with pytest.raises(CheckpointError, match="save_pretrained"):
        model.save_pretrained(tmp_path / "out")


def test_a_missing_file_is_an_error(tiny_ast, tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_trained(build(tiny_ast), tmp_path / "nothing")
