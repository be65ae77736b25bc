"""Model cards: what they say, and that their lines run as written."""

import json
import re

import pytest
import soundfile
import torch
import yaml

from petl_modules.export import export
from petl_modules.exports.cards.markdown import inline
from petl_modules.exports.cards.results import results_section
from petl_modules.utils import write_json
from tests.trained import write_run

TASKS = {
    "audio_classification": {},
    "speaker_verification": {},
    "speech_recognition": {
        "labels": ["<blank>", " ", "a", "b"],
        "units": "characters",
        "best_metric": {"name": "wer", "mode": "min"},
    },
}
SOUNDS = ("sound.wav", "one.wav", "other.wav", "speech.wav")


@pytest.fixture(scope="module", params=TASKS)
def card(request, tmp_path_factory, tiny_wav2vec2):
    """The text of a card, and the folder in which its folder is."""
    folder = tmp_path_factory.mktemp("cards")
    options = {"template": request.param, **TASKS[request.param]}
    backbone = tiny_wav2vec2["group"]
    base = None if request.param == "speech_recognition" else "wav2vec2.yaml"
    write_run(folder / "run", "bitfit", backbone, base, **options)
    export(folder / "run", folder / "my model")
    return (folder / "my model" / "README.md").read_text("utf-8"), folder


def test_the_lines_run_as_written(card, monkeypatch, capsys):
    text, folder = card
    draw = torch.Generator().manual_seed(0)
    for name in SOUNDS:
        noise = 0.1 * torch.randn(16_000, generator=draw)
        soundfile.write(folder / name, noise.numpy(), 16_000)
    code, *alone = re.findall("```python\n(.*?)```", text, re.S)
    is_classifier = "AudioClassifier" in code
    assert len(alone) == is_classifier  # run by test_pipeline.py
    assert len(code.splitlines()) == 3
    monkeypatch.chdir(folder)
    exec(code, {})
    assert capsys.readouterr().out


def test_what_the_hub_reads_is_in_front(card):
    text, _ = card
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["library_name"] == "petl_modules"
    assert front["license"] == "unknown" and "base_model" not in front
    assert {"petl", "bitfit"} <= {*front["tags"]}


def test_sections_stand_in_order(card):
    text, _ = card
    heads = re.findall("^## (.*)", text, re.M)
    wanted = ["Use", "Base", "Results", "Size", "Limits"]
    assert heads[:5] == wanted
    assert "petl_modules runs no code of it" in text


ABOUT = {
    "fold": "fold2",
    "protocol": "5-fold, fold k - 1 validates",
    "metric": {"name": "accuracy", "mode": "max"},
    "folds": [
        {"fold": "fold1", "valid": 0.5, "test": 0.25},
        {"fold": "fold2", "valid": None, "test": 0.75},
    ],
}


def test_the_table_has_the_folds_their_mean_and_the_best():
    text = "\n".join(results_section(ABOUT))
    assert text.startswith("5-fold, fold k - 1 validates.")
    assert "| fold2 (this model) | - | 75.00% |" in text
    assert "| mean ± standard deviation | | 50.00% ± 25.00% |" in text
    assert "| best | | 75.00% |" in text


def test_the_best_error_rate_is_the_lowest():
    metric = {"name": "eer", "mode": "min"}
    text = "\n".join(results_section({**ABOUT, "metric": metric}))
    assert "| best | | 25.00% |" in text


def test_a_fold_without_results_says_so():
    found = results_section({**ABOUT, "folds": []})
    assert found == ["No results are known."]


def test_the_protocol_is_that_of_the_summary(tiny_ast, tmp_path):
    write_run(tmp_path / "run", "bitfit", tiny_ast)
    write_json(tmp_path / "run" / "summary.json", {"protocol": "One <split>"})
    export(tmp_path / "run", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "One \\<split\\>." in text
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert config["about"]["protocol"] == "One <split>"


def test_names_are_shown_as_they_are():
    assert inline("a|b\n<script> *x*") == "a\\|b \\<script\\> \\*x\\*"
    assert "\x1b" not in inline("\x1b[2J")
