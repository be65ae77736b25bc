"""Plain data: what makes a model, and nothing that runs code."""

import json
import math
from functools import partial

import pytest
from torch import nn

from petl_modules.data import FilterBank, Waveform, WhisperLogMel
from petl_modules.inference.plain import CLASSES, DEEPEST, from_plain, to_plain
from petl_modules.runs import RecipeFile
from petl_modules.utils import ExportError, HparamsError

FEATURES = {
    "!new:petl_modules.data.FilterBank {frames: 100, mel_bins: 128, "
    "sample_rate: 16000, mean: -4.2, std: 4.5}": FilterBank,
    "!new:petl_modules.data.Waveform {seconds: .inf}": Waveform,
    "!new:petl_modules.data.WhisperLogMel {seconds: 5.0}": WhisperLogMel,
}


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("text", FEATURES)
def test_features_come_back_as_they_were(text):
    recipe = RecipeFile.parse(f"{{features: {text}}}")
    plain = to_plain(recipe.settings["features"], "features")
    again = from_plain(json.loads(json.dumps(plain)), "features")
    assert type(again) is FEATURES[text]
    assert vars(again) == vars(recipe["features"])


def test_values_are_those_of_python():
    recipe = RecipeFile.parse("{x: [0.10, 1, yes, True, null, 'a b', [], {}]}")
    plain = to_plain(recipe.settings["x"], "x")
    assert plain == [0.1, 1, "yes", True, None, "a b", [], {}]
    kinds = [float, int, str, bool, type(None), str, list, dict]
    assert [type(value) for value in plain] == kinds


def test_arguments_without_names_are_kept():
    recipe = RecipeFile.parse("{x: !name:torch.nn.Linear [8, 2]}")
    plain = to_plain(recipe.settings["x"], "x")
    assert plain == {"!name": "torch.nn.Linear", "!args": [8, 2]}
    assert from_plain(plain, "x").args == (8, 2)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("!new:my.Block {}", "model.x: my.Block is none of the classes"),
        ("!apply:os.getcwd []", "model.x: !apply:os.getcwd has no form"),
        (".inf", "model.x: inf has no form"),
        (".nan", "model.x: nan has no form"),
        ("!!python/name:os.system ''", "has no form as plain data"),
    ],
)
def test_what_has_no_form_is_named(text, reason):
    tree = RecipeFile.parse(f"{{x: {text}}}").tree
    with pytest.raises(ExportError, match=reason):
        to_plain(tree, "model")


@pytest.mark.parametrize(
    "value, reason",
    [
        ({"!new": "os.system", "!args": ["true"]}, "'os.system' is no class"),
        ({"!new": "petl_modules.data.read_audio"}, "is no class"),
        ({"!new": "builtins.eval", "!args": ["1"]}, "'builtins.eval'"),
        ({"!name": "torch.nn.Linear.__init__"}, "is no class"),
        ({"!new": 5}, "x: 5 is no class"),
        ({"!new": ["torch.nn.Linear"]}, "is no class"),
        ({"!apply": "os.system"}, "key '!apply' has no meaning"),
        ({"!new": "torch.nn.Linear", "!name": "x"}, "'!name' has no meaning"),
        ({"__class__": "os.system"}, "key '__class__' has no meaning"),
        ({"!args": [1]}, "key '!args' has no meaning"),
        ({"!name": "torch.nn.Linear", "!args": 5}, "x.!args is no list"),
        ({"!new": "torch.nn.Linear", "size": 5}, "x: .*'size'"),
        ({"!new": "petl_modules.methods.LoRA", "rank": "six"}, "x: "),
        ({"a": [math.nan]}, "nan is no value"),
        ([1 << 60], "is no value"),
        ([object()], "is no value"),
        (nested(DEEPEST + 1), f"{DEEPEST} levels"),
        ([[0] * 1000] * 300, "more than 200000 values"),
        (
            {"!new": "petl_modules.backbones.AST", "source": "/etc"},
            "source of a backbone is no part",
        ),
    ],
)
def test_what_is_no_plain_data_is_refused_by_place(value, reason):
    with pytest.raises(HparamsError, match=reason) as caught:
        from_plain(value, "x")
    assert str(caught.value).startswith("x")


def test_the_place_within_is_named():
    value = {"a": [{"b": {"!new": "os.system"}}]}
    with pytest.raises(HparamsError, match=r"^x\.a\[0\]\.b"):
        from_plain(value, "x")


def test_names_are_classes_and_nothing_else():
    assert all(isinstance(made, type) for made in CLASSES.values())
    made = from_plain({"!name": "torch.nn.Linear"}, "x")
    assert isinstance(made, partial) and made.func is nn.Linear
