"""Recipe files, train.py, CSV rows and READMEs say the same.

Authors
 * The PETL audio recipes team 2026
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.run_opts import HELP_TEXTS

from petl_modules.command_line import compose
from petl_modules.hparams import make, resolve
from petl_modules.report import read_csv
from petl_modules.tuned_model import TunedModel

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("recipes/*/hparams/*.yaml"))
BASES = [file for file in FILES if file.stem == "ast"]
COLUMNS = [
    "Task",
    "Dataset",
    "Script_file",
    "Hparam_file",
    "Data_prep_file",
    "Readme_file",
    "Result_url",
    "HF_repo",
    "test_debug_flags",
    "test_debug_checks",
]
CONTRACT = [
    "data_folder",
    "output_folder",
    "backbone",
    "seed",
    "folds",
    "number_of_epochs",
    "batch_size",
    "lr",
    "positions",
    "allow_partial",
]
RATES = {
    "full_finetuning": 5e-5,
    "ast": 1e-3,
    "linear": 1e-3,
    "prefix": 1e-2,
    "prompt_deep": 1e-2,
    "prompt_shallow": 1e-2,
    **dict.fromkeys(
        ["bitfit", "bottleneck", "houlsby", "conformer", "lora"], 5e-3
    ),
    **dict.fromkeys(["dense_moa", "soft_moa"], 5e-3),
}
every_file = pytest.mark.parametrize(
    "file", FILES, ids=[f"{file.parts[-3]}-{file.stem}" for file in FILES]
)
every_base = pytest.mark.parametrize(
    "base", BASES, ids=[base.parts[-3] for base in BASES]
)


def recipe_of(file):
    return file.parents[1]


@cache
def merged(file, *words):
    return compose([str(file), *words], recipe_of(file))[0]


@cache
def settings(file):
    return resolve(merged(file))


def rows(file):
    return read_csv(ROOT / "tests" / "recipes" / f"{recipe_of(file).name}.csv")


def own_row(file):
    name = file.relative_to(ROOT).as_posix()
    return [row for row in rows(file) if row["Hparam_file"] == name]


def table_lines(readme):
    lines = readme.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("|")]


@every_file
def test_file_loads(file, tiny_ast, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = merged(file, "--backbone", tiny_ast)
    made = load_hyperpyyaml(text, {"labels": ["cat", "dog"]})
    assert isinstance(made["modules"]["model"], TunedModel)


@every_file
def test_file_has_one_csv_row(file):
    assert len(own_row(file)) == 1


@every_file
@pytest.mark.parametrize(
    "column", ["Script_file", "Data_prep_file", "Readme_file"]
)
def test_csv_row_names_files_of_the_recipe(file, column):
    named = ROOT / own_row(file)[0][column]
    assert named.is_file() and named.parent == recipe_of(file)


@every_base
def test_csv_has_the_columns_of_speechbrain(base):
    assert list(rows(base)[0]) == COLUMNS


@every_base
def test_csv_rows_are_those_of_files(base):
    files = {path.relative_to(ROOT).as_posix() for path in FILES}
    assert {row["Hparam_file"] for row in rows(base)} <= files


@every_file
def test_file_has_a_row_in_the_readme_of_the_recipe(file):
    lines = table_lines(recipe_of(file) / "README.md")
    assert any(re.search(rf"\b{file.stem}\b", line) for line in lines)


@every_file
def test_method_has_a_row_in_the_readme(file):
    if file in BASES:
        pytest.skip("a base is no method")
    lines = table_lines(ROOT / "README.md")
    assert any(re.search(rf"\b{file.stem}\b", line) for line in lines)


@every_file
def test_header_has_the_command(file):
    recipe = recipe_of(file).relative_to(ROOT).as_posix()
    command = (
        f"#   python {recipe}/train.py hparams/{file.name} --data_folder DIR"
    )
    assert command in file.read_text(encoding="utf-8").splitlines()


@every_file
@pytest.mark.parametrize("key", CONTRACT)
def test_contract(file, key):
    assert key in settings(file)


class Names(ast.NodeVisitor):
    """Collects the keys of a recipe file that a script uses."""

    def __init__(self, source):
        self.found = set()
        self.visit(ast.parse(source))

    def visit_Subscript(self, node):
        named = ast.unparse(node.value) in ("hparams", "settings")
        if named and isinstance(node.slice, ast.Constant):
            self.found.add(node.slice.value)
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if ast.unparse(node.value) == "self.hparams":
            self.found.add(node.attr)
        self.generic_visit(node)

    def visit_Assign(self, node):
        if ast.unparse(node.targets[0]) == "keys":
            self.found.update(ast.literal_eval(node.value))
        self.generic_visit(node)


@every_base
def test_names_of_the_script_are_found(base):
    script = (recipe_of(base) / "train.py").read_text(encoding="utf-8")
    assert {"modules", "augment", "labels", "allow_partial"} <= (
        Names(script).found
    )


@every_base
def test_names_of_the_script_are_keys(base):
    script = (recipe_of(base) / "train.py").read_text(encoding="utf-8")
    assert Names(script).found - settings(base).keys() == set()


@every_file
def test_every_key_is_used(file):
    text = merged(file)
    sources = [recipe_of(file) / "train.py"]
    sources += [ROOT / "petl_modules" / "experiment.py"]
    code = " ".join(path.read_text(encoding="utf-8") for path in sources)
    unused = [
        key
        for key in settings(file)
        if not re.search(rf"<{key}[>\[]", text)
        and not re.search(rf'"{key}"|hparams\.{key}\b', code)
        and key != "__set_seed"
        and key not in HELP_TEXTS  # SpeechBrain reads its run options
    ]
    assert unused == []


@every_file
def test_learning_rate_is_that_of_the_protocol(file):
    assert settings(file)["lr"] == RATES[file.stem]


@every_file
@pytest.mark.parametrize(
    "key, value",
    [
        ("seed", 10),
        ("batch_size", 32),
        ("number_of_epochs", 50),
        ("weight_decay", 0.1),
        ("max_grad_norm", float("inf")),
        ("frames", 500),
        ("n_folds", 5),
        ("valid_offset", -1),
        ("folds", [1, 2, 3, 4, 5]),
        ("positions", "center_cut"),
        ("allow_partial", False),
        ("data_folder", str(Path("data", "ESC-50-master").absolute())),
        ("backbone", "MIT/ast-finetuned-audioset-10-10-0.4593"),
    ],
)
def test_protocol_of_esc50(file, key, value):
    if recipe_of(file).name != "ESC50":
        pytest.skip("another dataset")
    assert settings(file)[key] == value


@every_file
def test_optimizer_is_that_of_the_protocol(file):
    made = make(merged(file), ["opt_class"])["opt_class"]
    assert (made.func, made.keywords) == (
        torch.optim.AdamW,
        {
            "lr": RATES[file.stem],
            "betas": (0.9, 0.98),
            "eps": 1e-6,
            "weight_decay": 0.1,
        },
    )


@every_file
def test_schedule_is_that_of_the_protocol(file):
    made = make(merged(file), ["lr_schedule"])["lr_schedule"]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    schedule = made(optimizer, T_max=3)
    assert (type(schedule).__name__, schedule.eta_min) == (
        "CosineAnnealingLR",
        0,
    )


@every_base
def test_augmentation_is_that_of_the_protocol(base):
    augment = make(merged(base), ["augment"])["augment"]
    assert (augment.freq, augment.time) == (24, 80)
