"""Methods for encoders of speech: counts, step 0, gradients, checkpoints."""

from functools import cache
from pathlib import Path

import pytest
import torch
from test_methods import Kind, train_steps
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from petl_modules.backbones import Sites
from petl_modules.blocks import ForwardContext
from petl_modules.models import TunedEncoder, load_trained, save_trained
from petl_modules.runs import RecipeFile
from petl_modules.utils import HparamsError
from tests.readmes import row_of
from tools.copy_methods import SPEECH_METHODS

pytestmark = pytest.mark.covering("stem", "speech")
ROOT = Path(__file__).resolve().parents[2]
HPARAMS = ROOT / "recipes" / "GSC" / "hparams"
INSIDE = {"at": ["ffn_out"], "placement": "parallel"}  # AdapterBias, released


@pytest.fixture(params=["group", "layer"])
def speech(request, tiny_wav2vec2):
    """Encoders that normalise behind their sublayers, and in front of them."""
    return Kind(request.param, tiny_wav2vec2[request.param])


# Counts


class Bare(nn.Module):
    """A backbone without its input: what methods need to be inserted."""

    settings = {}

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.sites = Sites(model)
        self.context = ForwardContext()


WIDE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "do_stable_layer_norm": True,
}


def count(stem, config, **changes):
    """Trained parameters in a full-size encoder, which takes no memory."""
    recipe = RecipeFile.read(HPARAMS / f"{stem}.yaml", "wav2vec2.yaml")
    recipe.update(changes)
    made = recipe.make(["methods", "hidden_states"])
    with torch.device("meta"):
        encoder = TunedEncoder(
            Bare(Wav2Vec2Model(config)),
            made["methods"],
            hidden_states=made["hidden_states"],
            train_backbone=recipe.settings["train_backbone"],
            train_norms=recipe.settings["train_norms"],
        )
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)


def bottleneck(d, r):
    return d * r + r + r * d + d


def e_adapter(d):
    return bottleneck(d, round(d / 3)) + 2 * d


def l_adapter(d):
    return d * 512 + 512 + 2 * 512


# Trained parameters of n of N layers of width d, whose feed-forward has f
CLOSED = {
    "adapter_ffn": lambda d, f, n, N: n * bottleneck(d, round(d / 24)),
    "adapter_bias": lambda d, f, n, N: n * (d + 1 + d),
    "lora_qk": lambda d, f, n, N: n * 2 * (d * 8 + 8 * d),
    "e_adapter": lambda d, f, n, N: n * e_adapter(d) + 2 * N * 2 * d,
    "l_adapter": lambda d, f, n, N: n * l_adapter(d) + n,
    "el_adapters": lambda d, f, n, N: (
        n * e_adapter(d) + N * l_adapter(d) + N + 2 * N * 2 * d
    ),
}
BASE_COUNTS = {
    "adapter_ffn": 599_424,
    "adapter_bias": 18_444,
    "lora_qk": 294_912,
    "e_adapter": 4_786_176,
    "l_adapter": 4_737_036,
    "el_adapters": 9_127_436,
}


def test_every_file_has_a_count():
    assert {*SPEECH_METHODS} == CLOSED.keys() == BASE_COUNTS.keys()


@pytest.mark.parametrize("stem", SPEECH_METHODS)
def test_counts_at_768(stem):
    layers = 11 if stem == "el_adapters" else 12
    found = count(stem, Wav2Vec2Config())
    assert found == CLOSED[stem](768, 3072, layers, 12) == BASE_COUNTS[stem]
    told = row_of(stem, ROOT / "README.md")["wav2vec 2.0"]
    assert int(told.replace(",", "")) == found


@pytest.mark.parametrize("stem", SPEECH_METHODS)
@pytest.mark.parametrize("layers, n", [("last_3", 3), ([0, 7], 2)])
def test_counts_of_some_layers_of_a_wide_encoder(stem, layers, n):
    found = count(stem, Wav2Vec2Config(**WIDE), layers=layers)
    assert found == CLOSED[stem](1024, 4096, n, 8)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("layer_sum", 13),
        ("ladder", 2_376_492),  # see tests/unit/test_ladder.py
        ("attentive", 0),
        ("attentive_layers", 13),
        ("prototypes", 0),
        ("adaptformer", 1_189_632),
        ("dense_moa_lora", 663_648),
        ("soft_moa_lora", 663_552),
        ("gc_lora", 153_312),
        ("convpass_wav2vec2", 24 * (2 * 768 * 8 + 8 + 768 + 3 * 8 * 8 + 8)),
    ],
)
def test_counts_of_methods_of_other_tasks(stem, expected):
    assert count(stem, Wav2Vec2Config()) == expected
    told = row_of(stem, ROOT / "README.md")["wav2vec 2.0"]
    assert int(told.replace(",", "")) == expected


@pytest.mark.parametrize(
    ("stem", "changes", "expected"),
    [
        ("adapter_bias", INSIDE, 12 * (3072 + 1 + 768)),
        ("prompt_deep", {"prompts": 10}, 12 * 10 * 768),
        ("prompt_shallow", {"prompts": 10}, 10 * 768),
        ("prefix", {"prefix": 10}, 12 * 10 * 768),
        ("bitfit", {}, 12 * (4 * 768 + 3072 + 768 + 2 * 768) + 768),
        ("linear", {"hidden_states": "weighted"}, 13),
        ("layer_sum", {"first_input": False}, 12),
        ("el_adapters", {"sum_layers": "last_4"}, 5_969_412),
    ],
)
def test_counts_of_published_forms(stem, changes, expected):
    assert count(stem, Wav2Vec2Config(), **changes) == expected
    assert expected in (46_092, 92_160, 7_680, 102_144, 13, 12, 5_969_412)


# On small encoders


@pytest.mark.parametrize(
    ("stem", "changes"),
    [
        ("adapter_ffn", {}),
        ("adapter_bias", {}),
        ("adapter_bias", INSIDE),
        ("lora_qk", {}),
        ("e_adapter", {"init_std": 0.0}),
    ],
)
def test_step_0_equals_the_frozen_model(stem, changes, speech):
    model, inputs = speech.from_yaml(stem, **changes).eval(), speech.inputs()
    with torch.no_grad():
        expected = model.head(model.pooling(speech.frozen(inputs)))
        assert torch.equal(model(inputs), expected)


def test_e_adapters_start_near_the_frozen_model_not_at_it(speech):
    model, inputs = speech.from_yaml("e_adapter").eval(), speech.inputs()
    with torch.no_grad():
        expected = speech.frozen(inputs)
        found, _ = model.encoder(inputs)
    error = (found - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.1


@pytest.mark.parametrize("changes", [{}, INSIDE])
def test_a_norm_takes_equal_values_of_a_bias_away(changes, speech):
    """A vector of ones, as in the released code, is the frozen model, too."""
    model, inputs = speech.from_yaml("adapter_bias", **changes), speech.inputs()
    with torch.no_grad():
        for path in model.encoder.inserted.values():
            model.encoder.get_submodule(path).vector.fill_(1.0)
        found, _ = model.eval().encoder(inputs)
        expected = speech.frozen(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@cache
def two_steps(stem, folder, name, inside=False):
    """A model after two steps, and which parameters had a gradient."""
    torch.manual_seed(0)
    kind = Kind(name, folder)
    model = kind.from_yaml(stem, **(INSIDE if inside else {}))
    return model, train_steps(model, kind.inputs())


CASES = [*((stem, False) for stem in SPEECH_METHODS), ("adapter_bias", True)]


@pytest.mark.parametrize(("stem", "inside"), CASES)
def test_every_declared_parameter_has_its_gradient(stem, inside, speech):
    _, moved = two_steps(stem, speech.folder, speech.name, inside)
    assert moved and all(moved.values()), moved


@pytest.mark.parametrize(("stem", "inside"), CASES)
def test_saved_and_loaded_it_is_the_same(stem, inside, speech, tmp_path):
    model, _ = two_steps(stem, speech.folder, speech.name, inside)
    save_trained(model, tmp_path / "model")
    other = speech.from_yaml(stem, **(INSIDE if inside else {})).eval()
    load_trained(other, tmp_path / "model")
    inputs = speech.inputs()
    with torch.no_grad():
        assert torch.equal(other(inputs), model.eval()(inputs))


@pytest.mark.parametrize("stem", SPEECH_METHODS)
def test_a_padded_clip_is_the_clip_alone(stem, speech):
    model, _ = two_steps(stem, speech.folder, speech.name)
    clip = torch.randn(1, 4_000)
    padded = torch.cat([nn.functional.pad(clip, [0, 1_000]), speech.inputs()])
    lengths = torch.tensor([0.8, 1.0, 1.0])
    with torch.no_grad():
        together = model.eval()(padded, lengths)[:1]
        torch.testing.assert_close(together, model(clip), rtol=1e-4, atol=1e-4)


# Norms of the layers


@pytest.mark.parametrize("stem", ["linear", "bottleneck", "adapter_ffn"])
def test_norms_of_every_layer_are_trained_and_none_outside(stem, speech):
    plain = speech.from_yaml(stem, train_norms=False)
    model = speech.from_yaml(stem, train_norms="layers")
    encoder = model.encoder
    names = {
        f"layers.{layer}.{norm}.{value}"
        for layer in range(encoder.backbone.sites.n_layers)
        for norm in encoder.backbone.sites.layout.norms
        for value in ("weight", "bias")
    }
    assert len(names) == 4 * encoder.backbone.sites.n_layers
    assert encoder.trained_weights.keys() == names
    assert plain.encoder.trained_weights == {}
    for path in encoder.trained_weights.values():
        module = encoder.get_submodule(path.rpartition(".")[0])
        assert isinstance(module, nn.LayerNorm)


def test_norms_of_the_layers_of_ast(tiny_ast):
    model = Kind("ast", tiny_ast).from_yaml("bottleneck", train_norms="layers")
    names = {n.split(".", 2)[2] for n in model.encoder.trained_weights}
    assert names == {
        *("attention_norm.weight", "attention_norm.bias"),
        *("ffn_norm.weight", "ffn_norm.bias"),
    }
    assert all(train_steps(model, Kind("ast", tiny_ast).inputs()).values())


@pytest.mark.parametrize("choice", ["every", "layer", None, ""])
def test_no_such_norms(choice, tiny_wav2vec2):
    kind = Kind("group", tiny_wav2vec2["group"])
    with pytest.raises(HparamsError, match="True, False, layers, all"):
        TunedEncoder(kind.backbone(), train_norms=choice)
