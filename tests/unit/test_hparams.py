"""A short recipe file over its base, its values and its objects."""

import pytest
import torch

from petl_modules.runs import RecipeFile
from petl_modules.runs.layering import find_file
from petl_modules.runs.yaml_text import parse_yaml
from petl_modules.utils import DataError, HparamsError

BASE = """\
lr: 1.0e-3
momentum: 0.5  # of SGD
sizes: [1, 2, 3]
nested:
    a: !ref <lr>
    b: 2
layer: !new:torch.nn.Linear
    in_features: 2
    out_features: 3
opt_class: !name:torch.optim.AdamW
    lr: !ref <lr>
    weight_decay: 0.1
"""


@pytest.fixture
def files(tmp_path):
    """Writes ``base.yaml`` and further files; gives the merged recipe."""
    (tmp_path / "base.yaml").write_text(BASE)

    def merged(text, base=None, **others):
        for name, other in others.items():
            (tmp_path / f"{name}.yaml").write_text(other)
        (tmp_path / "short.yaml").write_text(text)
        return RecipeFile.read(tmp_path / "short.yaml", base)

    return merged


SGD = """\
base: base.yaml
opt_class: !name:torch.optim.SGD
    lr: !ref <lr>
"""


def made_optimizer(recipe):
    weight = torch.nn.Parameter(torch.zeros(1))
    return recipe.make(["opt_class"])["opt_class"]([weight])


def test_another_optimizer_is_really_another(files):
    assert type(made_optimizer(files(SGD))) is torch.optim.SGD


def test_a_replaced_entry_keeps_nothing_of_the_old_one(files):
    assert made_optimizer(files(SGD)).defaults["weight_decay"] == 0


def test_a_replaced_entry_refers_to_keys_of_the_base(files):
    assert made_optimizer(files(SGD)).defaults["lr"] == 1e-3


@pytest.mark.parametrize(
    "text, key, value",
    [
        ("lr: 2", "lr", 2),
        ("sizes: [4]", "sizes", [4]),
        ("sizes: []", "sizes", []),
        ("nested: {a: 1}", "nested", {"a": 1}),
        ("lr: 2", "nested", {"a": 2, "b": 2}),
        ("lr: !ref <momentum>", "lr", 0.5),
        ("lr: !ref <momentum> / 2", "lr", 0.25),
        ("more: 7\nsizes: [!ref <more>]", "sizes", [7]),
        ("more: {x: 7}\nsizes: [!ref '<more[x]>']", "sizes", [7]),
        ("nested: !name:torch.nn.ReLU", "nested", torch.nn.ReLU),
    ],
)
def test_merged_value(files, text, key, value):
    loaded = files(f"base: base.yaml\n{text}").make_all()[key]
    assert getattr(loaded, "func", loaded) == value


def test_new_objects(files):
    recipe = files(
        "base: base.yaml\nlayer: !new:torch.nn.Embedding\n"
        "    num_embeddings: 5\n    embedding_dim: 6"
    )
    assert recipe.make_all()["layer"].weight.shape == (5, 6)


def test_keys_keep_the_order_of_the_base(files):
    recipe = files("base: base.yaml\nopt_class: 1\nlr: 2")
    assert list(recipe.tree) == list(parse_yaml(BASE, "base"))


def test_base_itself_is_no_key(files):
    assert "base" not in files("base: base.yaml\nlr: 2").tree


MIDDLE = "base: base.yaml\nlr: 2\nmomentum: 3"


def test_base_of_a_base(files):
    tree = files("base: middle.yaml\nlr: 4", middle=MIDDLE).tree
    assert (tree["lr"], tree["momentum"], tree["sizes"]) == (4, 3, [1, 2, 3])


def test_keys_of_what_is_replaced_go(files):
    middle = (
        "base: base.yaml\nx: 7\ny: 8\nz: [!ref <y>]\n"
        "sizes: [!ref <x>, !ref <z>]"
    )
    tree = files("base: middle.yaml\nsizes: [!ref <x>]", middle=middle).tree
    assert tree["x"] == 7 and not {"y", "z"} & tree.keys()
    assert tree["momentum"] == 0.5  # of the base, used or not


def test_another_base_stands_at_the_bottom(files):
    other = "lr: 5\nmomentum: 6\nx: 7"
    tree = files(
        "base: middle.yaml\nlr: 4",
        base="other.yaml",
        middle=MIDDLE,
        other=other,
    ).tree
    assert dict(tree) == {"lr": 4, "momentum": 3, "x": 7}


def test_another_base(files):
    tree = files(
        "base: base.yaml\nlr: 4", base="other.yaml", other="lr: 5\nx: 6"
    ).tree
    assert dict(tree) == {"lr": 4, "x": 6}


def test_a_base_for_a_file_without_one(files):
    tree = files("lr: 4", base="base.yaml").tree
    assert tree["momentum"] == 0.5


def test_resolved_values(files):
    settings = files("base: base.yaml\nlr: 4").settings
    assert settings["nested"]["a"] == 4


@pytest.mark.parametrize(
    "text, words",
    [
        ("base: base.yaml\nmomentun: 1", ["'momentun'", "'momentum'"]),
        ("base: base.yaml\nunused: 1", ["'unused'", "base.yaml", "!ref"]),
        ("base: bose.yaml", ["'bose.yaml'", "'base.yaml'"]),
        ("lr: [1", ["short.yaml", "valid YAML"]),
        ("lr: 1\nlr: 2", ["short.yaml", "lr"]),
        ("- 1\n- 2", ["short.yaml", "mapping"]),
        ("", ["short.yaml", "mapping"]),
        ("base: short.yaml", ["short.yaml -> short.yaml", "circular"]),
    ],
)
def test_wrong_file(files, text, words):
    with pytest.raises(HparamsError) as error:
        files(text)
    assert all(word in str(error.value) for word in words)


def test_wrong_file_in_the_base(files):
    with pytest.raises(HparamsError, match="middle.yaml: the key 'lrr'"):
        files("base: middle.yaml", middle="base: base.yaml\nlrr: 1")


def test_bases_in_a_circle(files):
    with pytest.raises(
        HparamsError, match="short.yaml -> middle.yaml -> short.yaml"
    ):
        files("base: middle.yaml", middle="base: short.yaml")


def test_file_is_looked_up_in_order(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").touch()
    folders = [tmp_path / "none", tmp_path / "two", tmp_path / "one"]
    assert find_file("a.yaml", folders) == tmp_path / "two" / "a.yaml"


def test_missing_file_lists_what_is_there(tmp_path):
    (tmp_path / "lora.yaml").touch()
    with pytest.raises(HparamsError, match="Files there: lora.yaml"):
        find_file("zzz.yaml", [tmp_path])


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "lora.yaml").touch()
    with pytest.raises(HparamsError, match="Did you mean 'lora.yaml'"):
        find_file("lara.yaml", [tmp_path])


def test_update_reaches_text_values_and_objects(files):
    recipe = files("base: base.yaml")
    assert "lr: 1.0e-3" in recipe.text and recipe.settings["lr"] == 1e-3
    recipe.update({"lr": 7})
    assert "lr: 7" in recipe.text
    assert recipe.settings["nested"]["a"] == 7
    assert made_optimizer(recipe).defaults["lr"] == 7


def test_only_the_named_keys_are_made(files):
    recipe = files("base: base.yaml\nlayer: !new:no.such.Class {}")
    assert recipe.make(["lr", "nested"])["nested"] == {"a": 1e-3, "b": 2}


def test_overrides_are_values_of_keys(files):
    made = files("base: base.yaml").make_all(lr=5, sizes=["a"])
    assert (made["nested"]["a"], made["sizes"]) == (5, ["a"])


class Picky:
    """Refuses its argument in the way that it is told."""

    def __init__(self, error):
        raise error("the size is 0")


@pytest.mark.parametrize("kind", ["ValueError", "TypeError", "ImportError"])
@pytest.mark.parametrize("make", ["make", "make_all"])
def test_refused_arguments_are_the_users(files, kind, make):
    recipe = files(
        f"base: base.yaml\nlayer: !new:{__name__}.Picky\n"
        f"    error: !name:builtins.{kind}"
    )
    words = {"make": (["layer"],), "make_all": ()}[make]
    with pytest.raises(HparamsError, match="cannot be made: .*size is 0"):
        getattr(recipe, make)(*words)


def test_any_error_in_making_an_object_is_the_users(files):
    name = "petl_modules.utils.DataError"
    for kind, given in (
        (DataError, name),
        (HparamsError, "builtins.KeyError"),
    ):
        recipe = files(
            f"base: base.yaml\nlayer: !new:{__name__}.Picky\n"
            f"    error: !name:{given}"
        )
        with pytest.raises(kind) as error:
            recipe.make_all()
        assert type(error.value) is kind
    assert "cannot be made: KeyError" in str(error.value)
    assert isinstance(error.value.__cause__, KeyError)


def test_tuple_stays_one(files):
    """Whatever was parsed, made and dumped before."""
    recipe = files("base: base.yaml\nsizes: (0.9, 0.98)")
    assert "sizes: (0.9, 0.98)" in recipe.text and recipe.settings
    assert recipe.make(["sizes"]) == recipe.make(["sizes"])
    recipe.update({"lr": 2})
    assert recipe.make(["sizes"])["sizes"] == (0.9, 0.98)
    assert recipe.make_all()["sizes"] == (0.9, 0.98)


@pytest.mark.parametrize(
    "text, message",
    [
        ("lr: !ref <learning_rate>", "learning_rate"),
        ("lr: !ref <momentum> / 0", "division by zero"),
    ],
)
def test_wrong_reference(files, text, message):
    with pytest.raises(HparamsError, match=message):
        files(f"base: base.yaml\n{text}").settings
