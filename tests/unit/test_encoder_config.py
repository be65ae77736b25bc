"""config.json: every key fits, is refused by name, or changes nothing."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ASTConfig,
    ASTModel,
    HubertConfig,
    HubertForCTC,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
)

from petl_modules.backbones import AST, Wav2Vec2, Whisper, write_tiny_whisper
from petl_modules.backbones.tiny import write_random
from petl_modules.models import load_trained, save_trained
from petl_modules.utils import HparamsError, UserError
from tests.models import classifier

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
WAVES = {
    **SMALL,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (5, 8),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
LAYER_NORMS = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
KINDS = {
    "ast": (ASTModel, ASTConfig(**SMALL, max_length=64)),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config(**WAVES)),
    "hubert-layer": (HubertModel, HubertConfig(**WAVES, **LAYER_NORMS)),
}
ACTIVATIONS = ("relu", "gelu")


def build(kind, folder):
    """Return a tuned model on an encoder, and inputs for it."""
    torch.manual_seed(0)
    if kind == "ast":
        return classifier(AST(folder, 48), ["a", "b"]), torch.randn(2, 48, 128)
    return classifier(Wav2Vec2(folder), ["a", "b"]), torch.randn(2, 1600)


@pytest.fixture(scope="module", params=KINDS)
def encoder(request, tmp_path_factory):
    """The kind, its folder, a trained model's file, inputs and logits."""
    folder = tmp_path_factory.mktemp("encoders") / request.param
    write_random(folder, *KINDS[request.param], seed=0)
    model, x = build(request.param, str(folder))
    save_trained(model, folder / "trained")
    with torch.no_grad():
        return request.param, folder, x, model.eval()(x)


def others(value):
    """Return other values of a key, possible and impossible ones."""
    if isinstance(value, bool):
        return [not value, "yes"]
    if isinstance(value, int):
        return [value + 1, 0, -1, 2**31, "many"]
    if isinstance(value, float):
        return [value + 0.125, -1.0, "much"]
    if isinstance(value, str):
        return [name for name in ACTIVATIONS if name != value] + ["", 3]
    if isinstance(value, list):
        return [value[:-1], value + value[-1:], [2**40] * len(value), []]
    return [1, True, "text", {"a": 1}]


def changed(encoder, tmp_path, **changes):
    kind, folder, x, _ = encoder
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **changes}))
    return copy


def outcome(encoder, copy):
    """Return the refusal, or the largest difference of the logits."""
    kind, folder, x, logits = encoder
    try:
        model, _ = build(kind, str(copy))
        load_trained(model, folder / "trained")
    except UserError as error:
        return str(error)
    with torch.no_grad():
        return (model.eval()(x) - logits).abs().max().item()


def test_every_key_fits_or_is_refused(encoder, tmp_path):
    """Logits are equal, or the key's line is among the differences."""
    config = KINDS[encoder[0]][1].to_dict()
    extra = {"return_dict": True, "torchscript": False, "use_cache": None}
    assert outcome(encoder, encoder[1]) == 0
    equal, refused = set(), set()
    for key, value in {**config, **extra}.items():
        for other in others(value):
            copy = changed(encoder, tmp_path, **{key: other})
            found = outcome(encoder, copy)
            if isinstance(found, float):
                assert found == 0, (key, other)
                equal.add(key)
            else:
                assert str(copy) in found or key in found, (key, other, found)
                refused.add(key)
    assert {"architectures", "initializer_range"} <= equal
    assert {"hidden_act", "layer_norm_eps", "num_attention_heads"} <= refused


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architectures", []),
        ("architectures", ["Model"] * 2000),
        ("tdnn_dim", []),
        ("begin_suppress_tokens", []),
        ("keys_to_ignore_at_inference", []),
        ("class_weights", [-0.5] * 1500),
        ("semantic_loss_ignore_index", -100),
    ],
)
def test_a_key_without_an_effect_has_any_value(key, value, encoder, tmp_path):
    assert outcome(encoder, changed(encoder, tmp_path, **{key: value})) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1e-5])
def test_impossible_epsilon_is_refused(value, encoder, tmp_path):
    copy = changed(encoder, tmp_path, layer_norm_eps=value)
    words = f"{copy}/config.json: layer_norm_eps is .* above 0"
    assert re.search(words, outcome(encoder, copy))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("encoder_layers", 2**31, "2147483648 layers long"),
        ("encoder_ffn_dim", 0, "0: it must be a number above 0"),
        ("dropout", 2.5, "2.5: it must be a number from 0 to 1"),
    ],
)
def test_impossible_numbers_of_whisper_are_refused(key, value, words, tmp_path):
    folder = tmp_path / "tiny"
    write_tiny_whisper(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, key: value}))
    with pytest.raises(HparamsError, match=re.escape(f"{key} is {words}")):
        Whisper(str(folder))


@pytest.mark.parametrize(
    "changes", [{"num_hidden_layers": 1}, {"qkv_bias": False}]
)
def test_no_weights_of_the_encoder_are_left_out(changes, encoder, tmp_path):
    if "qkv_bias" in changes and encoder[0] != "ast":
        pytest.skip("this kind has no such key")
    found = outcome(encoder, changed(encoder, tmp_path, **changes))
    assert "config.json leaves out of the encoder" in found
    assert "layers.1." in found or ".bias" in found


@pytest.mark.parametrize("dtype", ["int8", "bool", "complex64", "float16"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_weights_are_floating_point_numbers(dtype, file, encoder, tmp_path):
    copy = changed(encoder, tmp_path)
    whole = copy / "model.safetensors"
    state = load_file(whole)
    ends = ("layers.1.attention.k_proj.bias", "layernorm.bias")
    name = next(name for name in state if name.endswith(ends))
    state[name] = state[name].to(getattr(torch, dtype))
    whole.unlink()
    if file.endswith(".bin"):
        torch.save(state, copy / file)
    else:
        save_file(state, whole, {"format": "pt"})
    if dtype == "float16":
        build(encoder[0], str(copy))
        return
    with pytest.raises(HparamsError, match=re.escape(name)):
        build(encoder[0], str(copy))


@pytest.mark.parametrize("old_names", [False, True])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Wav2Vec2ForPreTraining, Wav2Vec2Config(**WAVES)),
        (Wav2Vec2ForCTC, Wav2Vec2Config(**WAVES, add_adapter=True)),
        (HubertForCTC, HubertConfig(**WAVES)),
    ],
)
def test_heads_are_left_out(kind, config, old_names, tmp_path):
    kind(config).save_pretrained(tmp_path)
    file, new = tmp_path / "model.safetensors", "parametrizations.weight."
    state = load_file(file)
    if old_names:
        pairs = {f"{new}original0": "weight_g", f"{new}original1": "weight_v"}
        for name in [name for name in state if new in name]:
            before, _, end = name.partition(new)
            state[before + pairs[new + end]] = state.pop(name)
        save_file(state, file, {"format": "pt"})
    Wav2Vec2(str(tmp_path))


def test_no_key_is_lost_for_a_file_without_it(encoder, tmp_path):
    """Keys that the file leaves out have the library's defaults."""
    copy = changed(encoder, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    for key in ("initializer_range", "hidden_dropout_prob", "hidden_dropout"):
        config.pop(key, None)
    (copy / "config.json").write_text(json.dumps(config))
    assert outcome(encoder, copy) == 0


def test_a_trained_file_without_the_config_still_loads(encoder, tmp_path):
    """Files of format 2 say nothing of the configuration."""
    kind, folder, x, logits = encoder
    state = load_file(folder / "trained")
    model, _ = build(kind, str(folder))
    settings = model.settings()
    del settings["encoder"]["backbone"]["config"]
    about = {"format": 2, "settings": settings, "versions": {}}
    save_file(state, tmp_path / "old", {"petl": json.dumps(about)})
    load_trained(model, tmp_path / "old")
    with torch.no_grad():
        assert torch.equal(model.eval()(x), logits)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_adapter_layers": 1, "adapter_stride": 1},
        {"output_hidden_size": 48},
    ],
)
def test_an_adapter_behind_the_layers_is_left_out(changes, tmp_path):
    """The truth: the hidden states in front of it."""
    config = Wav2Vec2Config(**WAVES, add_adapter=True, **changes)
    write_random(tmp_path / "adapted", Wav2Vec2Model, config, seed=0)
    stock = Wav2Vec2Model.from_pretrained(tmp_path / "adapted").eval()
    stock.adapter = None
    backbone, x = (
        Wav2Vec2(str(tmp_path / "adapted")).eval(),
        torch.randn(2, 900),
    )
    with torch.no_grad():
        expected = stock(x).last_hidden_state
        torch.testing.assert_close(backbone(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        (
            {"frequency_stride": 16, "time_stride": 16},
            r"\(1, 62, 16\) .* \(1, 34, 16\)",
        ),
        ({"max_length": 96}, r"\(1, 62, 16\) .* \(1, 110, 16\)"),
        ({"hidden_size": 32}, r"\(16,\).* \(32,\)"),
        ({"patch_size": 8}, r"\(16, 1, 8, 8\)"),
    ],
)
def test_another_grid_is_named_with_both_shapes(changes, shapes, tmp_path):
    write_random(tmp_path / "ast", *KINDS["ast"], seed=0)
    file = tmp_path / "ast" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(
        HparamsError, match="(?s)other shapes than its config"
    ) as e:
        AST(str(tmp_path / "ast"), 48)
    assert re.search(shapes, str(e.value)), e.value
    assert "ignore_mismatched_sizes" not in str(e.value)


@pytest.mark.parametrize("tag", ["AutoConfig", "AutoModel"])
def test_code_of_a_folder_is_not_run_and_not_asked_for(
    tag, encoder, tmp_path, monkeypatch
):
    """No answer to a prompt can run it, as there is none."""
    copy = changed(
        encoder,
        tmp_path,
        model_type="unheard-of"
        if tag == "AutoConfig"
        else KINDS[encoder[0]][1].model_type,
        auto_map={tag: f"code.{tag}", "AutoModel": "code.AutoModel"},
    )
    (copy / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *a: pytest.fail("asked"))
    outcome(encoder, copy)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000])
def test_a_damaged_config_is_named(content, encoder, tmp_path):
    copy = changed(encoder, tmp_path)
    (copy / "config.json").write_text(content)
    assert f"{copy}/config.json is damaged" in outcome(encoder, copy)
