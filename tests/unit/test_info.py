"""What is shown of a trained model."""

import json

import pytest

from petl_modules import info
from petl_modules.exports.exporting import export
from petl_modules.models import WEIGHTS
from petl_modules.predict import Classifier
from tests.trained import LABELS, write_run

CASES = [
    ("conformer", None, {"Conformer", "backbone", "head"}),
    ("ipet", None, {"PromptTuning", "Bottleneck", "head"}),
    ("bitfit", None, {"backbone", "head"}),
    ("el_adapters", "wav2vec2", {"Bottleneck", "backbone", "LayerSum", "head"}),
    ("ladder", "wav2vec2", {"Ladder", "head"}),
    ("lora", "wav2vec2", {"LoRA", "head"}),
]


@pytest.mark.parametrize("method, base, parts", CASES)
def test_counts_are_those_of_the_model(
    method, base, parts, tiny_ast, tiny_wav2vec2, tmp_path
):
    backbone = tiny_wav2vec2["group"] if base else tiny_ast
    base = base and f"{base}.yaml"
    folder = write_run(tmp_path / "run", method, backbone, base)
    facts = info.facts_of(tmp_path / "run")
    trained = Classifier(folder).trained
    counts = trained.model.count_parameters()
    assert facts["trained parameters"] == counts["trainable_parameters"]
    assert {*facts["by part"]} == parts
    assert sum(facts["by part"].values()) == facts["trained parameters"]
    assert facts["labels"] == LABELS and facts["method"] == method
    assert facts["weights sha256"] == trained.weights_sha256
    own = trained.model.settings()["encoder"]["backbone"]
    assert facts["encoder sha256"] == own["weights"]
    assert facts["folds"] == [{"fold": "fold1", "valid": 0.5, "test": 0.5}]


@pytest.fixture
def fold(tiny_ast, tmp_path):
    return write_run(tmp_path / "run", "soft_moa", tiny_ast)


def test_run_says_its_protocol_and_all_folds(fold, capsys):
    summary = {"protocol": "5 folds"}
    (fold.parent / "summary.json").write_text(json.dumps(summary))
    info.main([str(fold.parent)])
    lines = dict(
        line.split("  ", 1) for line in capsys.readouterr().out.splitlines()
    )
    assert lines["protocol"].strip() == "5 folds"
    assert lines["folds"].strip() == "fold1, valid 0.5, test 0.5"
    assert "SoftMoA(experts=7" in lines["methods"]


def test_what_a_sum_of_models_has_not_is_left_out(capsys, monkeypatch):
    facts = {"fold": None, "folds": [], "seed": 0}
    monkeypatch.setattr(info, "facts_of", lambda run: facts)
    info.main(["combined"])
    assert capsys.readouterr().out == "seed  0\n"


def test_a_file_alone_is_enough(fold, tmp_path, capsys):
    file = tmp_path / "moved.safetensors"
    (fold / WEIGHTS).rename(file)
    info.main([str(file), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == str(file) and "folds" not in found
    assert found["by part"]["SoftMoA"] > found["by part"]["head"]


def test_an_export_says_the_same(fold, tmp_path):
    export(fold, tmp_path / "export")
    one, other = map(info.facts_of, (fold, tmp_path / "export"))
    shared = one.keys() - {"model", "bytes"}
    assert all(one[key] == other[key] for key in shared)


def test_what_is_damaged_or_missing_is_named(fold, tmp_path):
    content = bytearray((fold / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (fold / WEIGHTS).write_bytes(content)
    for given, reason in [
        (fold / WEIGHTS, "is damaged or was changed"),
        (fold, "is damaged or was changed"),
        (tmp_path / "none", "there is no folder"),
        (tmp_path, "no trained model in"),
    ]:
        with pytest.raises(SystemExit, match=reason):
            info.main([str(given)])
