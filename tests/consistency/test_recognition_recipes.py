"""Recipes of recognition: files, rows and READMEs say the same."""

from pathlib import Path

import pytest

from petl_modules.data import DurationBatches
from petl_modules.models import RecurrentHead, TunedModel
from petl_modules.recognition import BeamDecoder, GreedyDecoder
from petl_modules.runs import compose, fill_in_input
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import read_csv
from tests.plain import assert_plain
from tests.readmes import row_of
from tools import copy_methods

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates" / "speech_recognition"
LIBRISPEECH = ROOT / "recipes" / "LibriSpeech"
FILES = [
    file
    for recipe in (LIBRISPEECH, TEMPLATE)
    for file in sorted(recipe.glob("hparams/*.yaml"))
]
LABELS = ["<blank>", " ", "a"]
every_file = pytest.mark.parametrize(
    "file", FILES, ids=[f"{x.parts[-3]}-{x.stem}" for x in FILES]
)
# The template's other files are copies of the same
LOADED = [f for f in FILES if LIBRISPEECH in f.parents or f.stem == "wav2vec2"]


def merged(file):
    return compose([str(file)], file.parents[1])[0]


@pytest.mark.parametrize(
    "file", LOADED, ids=[f"{x.parts[-3]}-{x.stem}" for x in LOADED]
)
def test_file_loads(file, tiny_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = merged(file)
    stem = file.stem if file.stem == "w2v_bert" else "wav2vec2"
    recipe.update({"backbone": tiny_of(stem), "labels": LABELS})
    fill_in_input(recipe)
    model = recipe.make_all()["modules"]["model"]
    assert isinstance(model, TunedModel) and model.pooling is None
    assert_plain(recipe, model)


@every_file
def test_header_has_the_command(file):
    recipe = file.parents[1].relative_to(ROOT).as_posix()
    command = f"#   python {recipe}/train.py hparams/{file.name} --data_folder "
    assert f"\n{command}" in file.read_text(encoding="utf-8")


@every_file
def test_learning_rate_is_that_of_the_readme(file):
    row = row_of(file.stem, file.parents[1] / "README.md")
    assert merged(file).settings["lr"] == float(row["learning rate"])


@pytest.mark.parametrize("recipe", [LIBRISPEECH, TEMPLATE])
def test_every_file_has_a_row(recipe):
    rows = read_csv(ROOT / "tests" / "recipes" / f"{recipe.name}.csv")
    assert sorted(row["Hparam_file"] for row in rows) == [
        file.relative_to(ROOT).as_posix()
        for file in FILES
        if file.parents[1] == recipe
    ]


def test_the_template_differs_from_the_recipe_in_data_only():
    one, other = (
        one_line_values(
            (recipe / "hparams" / "wav2vec2.yaml").read_text(encoding="utf-8")
        )
        for recipe in (LIBRISPEECH, TEMPLATE)
    )
    keys = {k for k in {**one, **other} if one.get(k) != other.get(k)}
    assert keys == {
        *("dataset", "data_folder", "prepare", "plan", "folds", "lexicon"),
        *("pieces", "allow_tuned_encoder"),
        *("allow_partial", "stress", "download", "train_hours"),  # its own
        *("table", "n_folds"),  # the template's own
    }


def test_methods_are_those_that_recognise_frames():
    """The rule of the copies: all but those of AST and of pooled clips."""
    files = {f.stem for f in FILES if f.parents[1] == LIBRISPEECH}
    every = {f.stem for f in copy_methods.METHODS.glob("hparams/*.yaml")}
    assert every - files == {
        *("ast", "attentive", "attentive_layers", "conformer", "convpass"),
        *("ipet", "ipet_adapter", "ipet_prompt", "ipet_wav2vec2", "prototypes"),
        "whisper",
    }
    assert files - every == {"superb_head"}


@pytest.mark.parametrize("recipe", [LIBRISPEECH, TEMPLATE])
def test_protocol(recipe):
    file = recipe / "hparams" / "wav2vec2.yaml"
    settings = merged(file).settings
    assert settings["backbone"] == "facebook/hubert-base-ls960"
    assert settings["units"] == "characters"
    assert settings["allow_tuned_encoder"] == (recipe == TEMPLATE)
    made = merged(file).make(["train_batches", "features"])
    assert made["train_batches"].func is DurationBatches
    assert made["features"].longest is None


@pytest.mark.parametrize("kind", [GreedyDecoder, BeamDecoder])
def test_decoder_is_a_word_of_the_command_line(kind):
    name = kind.__name__.removesuffix("Decoder").lower()
    file = LIBRISPEECH / "hparams" / "lora.yaml"
    recipe, _ = compose([str(file), f"--decoder={name}"], LIBRISPEECH)
    recipe.update({"labels": LABELS})
    assert isinstance(recipe.make(["decode"])["decode"], kind)


def test_head_of_superb_has_its_size():
    """With the 32 outputs of its released code, as the design counts."""
    settings = merged(LIBRISPEECH / "hparams" / "superb_head.yaml").settings
    options = {k: settings["head"][k] for k in ("layers", "dropout")}
    width = settings["head_width"]
    head = RecurrentHead(768, out_features=32, width=width, **options)
    assert sum(p.numel() for p in head.parameters()) == 42_828_832
    linear = 768 * 1024 + 1024
    direction = 4 * 1024 * (1024 + 1024) + 8 * 1024  # of the first LSTM
    second = 4 * 1024 * (2048 + 1024) + 8 * 1024
    expected = linear + 2 * direction + 2 * second + 2048 * 32 + 32
    assert expected == 42_828_832
