"""A short recipe file on top of its base.

Authors
 * The PETL audio recipes team 2026
"""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from petl_modules.runs.recipe_file import (
    dump_yaml,
    find_file,
    merge,
    parse_yaml,
    resolve,
)
from petl_modules.utils import HparamsError

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
    """Writes ``base.yaml`` and further files; gives the merged tree."""
    (tmp_path / "base.yaml").write_text(BASE)

    def merged(text, base=None, **others):
        for name, other in others.items():
            (tmp_path / f"{name}.yaml").write_text(other)
        (tmp_path / "short.yaml").write_text(text)
        return merge(tmp_path / "short.yaml", base, [])

    return merged


def load(tree):
    return load_hyperpyyaml(dump_yaml(tree))


SGD = """\
base: base.yaml
opt_class: !name:torch.optim.SGD
    lr: !ref <lr>
"""


def made_optimizer(tree):
    return load(tree)["opt_class"]([torch.nn.Parameter(torch.zeros(1))])


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
    loaded = load(files(f"base: base.yaml\n{text}"))[key]
    assert getattr(loaded, "func", loaded) == value


def test_new_objects(files):
    tree = files(
        "base: base.yaml\nlayer: !new:torch.nn.Embedding\n"
        "    num_embeddings: 5\n    embedding_dim: 6"
    )
    assert load(tree)["layer"].weight.shape == (5, 6)


def test_keys_keep_the_order_of_the_base(files):
    tree = files("base: base.yaml\nopt_class: 1\nlr: 2")
    assert list(tree) == list(parse_yaml(BASE, "base"))


def test_base_itself_is_no_key(files):
    assert "base" not in files("base: base.yaml\nlr: 2")


MIDDLE = "base: base.yaml\nlr: 2\nmomentum: 3"


def test_base_of_a_base(files):
    tree = files("base: middle.yaml\nlr: 4", middle=MIDDLE)
    assert (tree["lr"], tree["momentum"], tree["sizes"]) == (4, 3, [1, 2, 3])


def test_another_base_stands_at_the_bottom(files):
    other = "lr: 5\nmomentum: 6\nx: 7"
    tree = files(
        "base: middle.yaml\nlr: 4",
        base="other.yaml",
        middle=MIDDLE,
        other=other,
    )
    assert dict(tree) == {"lr": 4, "momentum": 3, "x": 7}


def test_another_base(files):
    tree = files(
        "base: base.yaml\nlr: 4", base="other.yaml", other="lr: 5\nx: 6"
    )
    assert dict(tree) == {"lr": 4, "x": 6}


def test_a_base_for_a_file_without_one(files):
    tree = files("lr: 4", base="base.yaml")
    assert tree["momentum"] == 0.5


def test_resolved_values(files):
    tree = resolve(dump_yaml(files("base: base.yaml\nlr: 4")))
    assert tree["nested"]["a"] == 4


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
        ("base: short.yaml", ["short.yaml", "on itself"]),
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
    with pytest.raises(HparamsError, match="on itself"):
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
