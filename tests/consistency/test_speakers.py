"""Recipes of speaker verification: files, rows and READMEs say the same."""

import re
from pathlib import Path

import pytest
import torch

from petl_modules.models import ScratchEncoder, TunedModel
from petl_modules.runs import compose, fill_in_input
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import read_csv
from tests.plain import assert_plain
from tools import copy_methods

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates" / "speaker_verification"
VOXCELEB = ROOT / "recipes" / "VoxCeleb1"
FILES = [
    file
    for recipe in (VOXCELEB, TEMPLATE)
    for file in sorted(recipe.glob("hparams/*.yaml"))
    if not file.stem.startswith("identification")
]
SCRATCH = ("ecapa", "resnet34")
every_file = pytest.mark.parametrize(
    "file", FILES, ids=[f"{x.parts[-3]}-{x.stem}" for x in FILES]
)
# The template's other files are copies
LOADED = [
    file
    for file in FILES
    if VOXCELEB in file.parents or file.stem in ("ast", "wav2vec2")
]


def merged(file):
    return compose([str(file)], file.parents[1])[0]


@pytest.mark.parametrize(
    "file", LOADED, ids=[f"{x.parts[-3]}-{x.stem}" for x in LOADED]
)
def test_file_loads(file, tiny_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = merged(file)
    scratch = file.stem.startswith(SCRATCH)
    if not scratch:
        recipe.update({"backbone": tiny_of(file.stem)})
    recipe.update({"labels": ["eve", "tim"]})
    fill_in_input(recipe)
    model = recipe.make_all()["modules"]["model"]
    assert isinstance(model, TunedModel)
    assert_plain(recipe, model)
    assert isinstance(model.encoder, ScratchEncoder) == scratch


@every_file
def test_header_has_the_command(file):
    recipe = file.parents[1].relative_to(ROOT).as_posix()
    command = f"#   python {recipe}/train.py hparams/{file.name} --data_folder "
    assert f"\n{command}" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", [VOXCELEB, TEMPLATE])
def test_every_file_has_a_row_and_is_in_the_readme(recipe):
    rows = read_csv(ROOT / "tests" / "recipes" / f"{recipe.name}.csv")
    files = [file for file in FILES if file.parents[1] == recipe]
    assert sorted(row["Hparam_file"] for row in rows) == [
        file.relative_to(ROOT).as_posix()
        for file in sorted(recipe.glob("hparams/*.yaml"))
    ]
    readme = (recipe / "README.md").read_text(encoding="utf-8")
    table = [x for x in readme.splitlines() if x.startswith("|")]
    words = set(re.findall(r"\w+", " ".join(table)))
    assert {file.stem for file in files} <= words


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_the_template_differs_from_the_recipe_in_data_only(name):
    one, other = (
        one_line_values(
            (recipe / "hparams" / f"{name}.yaml").read_text(encoding="utf-8")
        )
        for recipe in (VOXCELEB, TEMPLATE)
    )
    keys = {k for k in {**one, **other} if one.get(k) != other.get(k)}
    assert keys == {
        *("dataset", "data_folder", "trials", "prepare", "plan"),
        *("valid_speakers", "test_speakers", "table", "allow_partial"),
    }


@pytest.mark.parametrize("name", ["ipet", "ipet_wav2vec2"])
def test_ipet_has_the_settings_of_its_paper(name):
    """N, r, learning rate, batch and windows of the released readme."""
    recipe = merged(VOXCELEB / "hparams" / f"{name}.yaml")
    found = recipe.settings
    expected = {
        "ipet": (4, 64, 5e-4, 32, 400, 30),
        "ipet_wav2vec2": (64, 128, 1e-3, 64, 3.0, 40),
    }
    assert (
        found["prompts"],
        round(768 / found["reduction"]),
        found["lr"],
        found["batch_size"],
        found.get("frames") or found["seconds"],
        found["number_of_epochs"],
    ) == expected[name]
    made = recipe.make(["loss", "embedding", "augment"])
    assert made["loss"] is torch.nn.functional.cross_entropy
    assert made["embedding"].keywords == {"out_features": 128}
    if name == "ipet":
        assert (made["augment"].freq, made["augment"].time) == (48, 80)


def test_identification_is_copied_from_the_classification_template():
    script = copy_methods.SCRIPTS["VoxCeleb1"]["identify.py"]
    assert script == ROOT / "templates" / "audio_classification"
