"""A run's folder: its best fold, and files of its own that are damaged."""

import json
import os

import pytest
import torch

from petl_modules.inference.trained_model import find_fold
from petl_modules.models import weights_file
from petl_modules.models.weights_file import digest, write_trained
from petl_modules.runs.command_line import HEAD
from petl_modules.runs.fold_files import (
    read_results,
    require_intact,
    require_unchanged,
)
from petl_modules.runs.run_data import claim_data
from petl_modules.runs.run_folder import claim_folder
from petl_modules.utils import (
    SEAL,
    CheckpointError,
    DataError,
    HparamsError,
    seal,
    write_csv,
    write_json,
    write_text,
)

WEIGHTS = {"head.weight": torch.ones(2)}


def result(**values):
    """Content of a ``result.json``, but for some values."""
    parts = ("train", "valid", "test", "last_epoch_test")
    fold = {
        "fold": 1,
        "epochs": 2,
        "best_epoch": 1,
        **{f"{part}_eer": 0.25 for part in parts},
        "weights_sha256": digest(WEIGHTS),
        "seconds": 1.5,
        **values,
    }
    counts = ("total_parameters", "trainable_parameters", "petl_parameters")
    return {"fold": fold, **dict.fromkeys(counts, 10)}


@pytest.fixture
def fold(tmp_path):
    """A finished fold of two test clips."""
    folder = tmp_path / "fold1"
    rows = [{"id": clip, "label": "a", "predicted": "b"} for clip in "xy"]
    write_csv(folder / "predictions.csv", rows)
    write_text(folder / "hyperparams.yaml", "seed: 1\n")
    about = {"encoder": {"backbone": {}, "methods": []}}
    write_trained(WEIGHTS, about, folder / "model.safetensors")
    write_json(folder / "result.json", result())
    seal(folder, {file.name for file in folder.iterdir()})
    return folder


@pytest.fixture
def earlier(fold, monkeypatch):
    """The same of an earlier version, which wrote no checksums."""
    (fold / SEAL).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(weights_file, "FORMAT", 2)
        about = {"encoder": {"backbone": {}, "methods": []}}
        write_trained(WEIGHTS, about, fold / "model.safetensors")
    return fold


def test_intact_fold_is_kept(fold):
    require_intact(fold, "eer", ["y", "x"])


def test_intact_fold_of_an_earlier_version_is_kept(earlier):
    require_intact(earlier, "eer", ["y", "x"])
    (earlier / "predictions.csv").unlink()  # not every task has it
    require_intact(earlier, "eer", ["y", "x"])


def test_weights_of_an_earlier_version_are_those_of_the_result(earlier):
    write_json(earlier / "result.json", result(weights_sha256="0" * 64))
    with pytest.raises(CheckpointError, match="other weights than those"):
        require_intact(earlier, "eer")


def test_recipe_file_that_predict_reads_is_that_of_training(fold):
    require_unchanged(fold, "hyperparams.yaml")
    (fold / "hyperparams.yaml").write_text("seed: 2\n")
    with pytest.raises(DataError, match="hyperparams.yaml is damaged .*Restor"):
        require_unchanged(fold, "hyperparams.yaml")
    (fold / SEAL).unlink()
    require_unchanged(fold, "hyperparams.yaml")


@pytest.mark.parametrize("how", ["removed", "empty", "cut", "one bit"])
@pytest.mark.parametrize(
    "name",
    [
        "predictions.csv",
        "hyperparams.yaml",
        "model.safetensors",
        "result.json",
        SEAL,
    ],
)
def test_damaged_file_of_a_fold_is_named_and_nothing_deleted(how, name, fold):
    file = fold / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "removed" and name == "result.json":
        return  # an unfinished fold
    if how == "removed":
        file.unlink()
    else:
        cut = {"empty": b"", "cut": content[: len(content) // 2]}
        file.write_bytes(cut.get(how, content))
    before = sorted(fold.iterdir())
    with pytest.raises(DataError) as error:
        require_intact(fold, "eer", ["x", "y"])
    text = str(error.value)
    assert text.startswith(str(fold)) and "\n" not in text
    assert name in text or name == SEAL
    assert text.endswith(
        f"Delete {fold}, and the same command trains this fold again"
    )
    assert sorted(fold.iterdir()) == before


def test_predictions_without_their_checksum_are_noticed(fold):
    sums = json.loads((fold / SEAL).read_text())
    del sums["predictions.csv"]
    write_json(fold / SEAL, sums)
    with pytest.raises(DataError, match="predictions.csv was added, or left"):
        require_intact(fold, "eer")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fold": 2}, "it is that of fold2"),
        ({"test_eer": "low"}, "fold.test_eer: expected a number, found 'low'"),
        ({"test_eer": float("nan")}, "NaN is no number"),
        ({"test_eer": None}, "expected a number, found None"),
        ({"epochs": 0}, "fold.epochs: expected a whole number from 1"),
        ({"epochs": True}, "fold.epochs: expected a whole number"),
        ({"weights_sha256": "0"}, "fold.weights_sha256"),
        ({"skipped_clips": [1]}, r"fold.skipped_clips\[0\]: expected a text"),
    ],
)
def test_result_of_a_wrong_form_is_named(changes, words, earlier):
    write_json(earlier / "result.json", result(**changes))
    with pytest.raises(DataError, match=f"result.json is damaged .*{words}"):
        require_intact(earlier, "eer")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 5000, "\0"])
def test_result_that_is_no_mapping_is_named(content, earlier):
    (earlier / "result.json").write_text(content)
    with pytest.raises(DataError, match="result.json is damaged .*Delete"):
        require_intact(earlier, "eer")


@pytest.mark.parametrize("clips", ["x", "xyz", "xz", "xx"])
def test_predictions_are_those_of_the_test_clips(clips, fold):
    with pytest.raises(DataError, match="2 rows are not those of the test"):
        require_intact(fold, "eer", clips)


def test_folds_of_other_metrics_are_not_averaged(fold):
    write_json(fold / "result.json", result(test_wer=0.5))
    other = fold.with_name("fold2")
    write_json(other / "result.json", result(fold=2))
    with pytest.raises(DataError, match="not all folds have .*'test_wer'"):
        read_results(fold.parent, "eer")


@pytest.fixture
def folder(tmp_path):
    """One in which something is trained."""
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "result.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("content", [None, b"", b"a: [1\n", b"\xff\xfe", b"a"])
def test_settings_that_cannot_be_read(content, folder):
    file = folder / "hyperparams.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HparamsError, match="settings cannot be read.*name an"):
        claim_folder(file, "seed: 1\n")
    assert not file.exists() or file.read_bytes() == content


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    mine = [tmp_path / ".notes.tmp", tmp_path / ".notes.json.4711.tmp"]
    left = tmp_path / ".summary.json.4711.tmp"
    for file in [*mine, left]:
        file.touch()
    claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")
    assert all(file.exists() for file in mine) and not left.exists()


def test_data_that_cannot_be_read(folder):
    file = folder / "data.json"
    file.write_text('{"clips": 1', encoding="utf-8")
    with pytest.raises(DataError, match="data.json is damaged .*Delete it"):
        claim_data(folder, {}, processes=1)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="damaged .the key 'clips' is missing"):
        claim_data(folder, {}, processes=1)
    file.unlink()
    claim_data(folder, {}, processes=1)
    claim_data(folder, {}, processes=1)


@pytest.mark.parametrize(
    "mode, rates, best",
    [
        ("min", [0.4, 0.1, 0.1], 2),
        ("max", [0.4, 0.1, 0.1], 1),
        ("min", [None, None, None], 1),  # fixed epochs
    ],
)
def test_the_best_fold_is_that_of_the_metric(mode, rates, best, tmp_path):
    for number, rate in enumerate(rates, 1):
        fold = tmp_path / f"fold{number}"
        write_json(fold / "result.json", result(fold=number, valid_eer=rate))
        (fold / "hyperparams.yaml").write_text(
            f"best_metric: {{name: eer, mode: {mode}}}\n", encoding="utf-8"
        )
    assert find_fold(tmp_path) == tmp_path / f"fold{best}"


@pytest.mark.parametrize(
    "name",
    [
        *("hyperparams.yaml", "data.json", "summary.json", "confusion.png"),
        *("fold1/model.safetensors", "fold2/predictions.csv"),
    ],
)
def test_file_that_no_run_has_written_is_kept(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    (tmp_path / ".draft.12.tmp").touch()
    with pytest.raises(HparamsError, match=f"{name} is there, and no run"):
        claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")
    assert (tmp_path / name).read_text() == "mine"
    assert (tmp_path / ".draft.12.tmp").exists()


def test_what_a_run_without_a_checkpoint_has_left_is_replaced(tmp_path):
    file = tmp_path / "hyperparams.yaml"
    (tmp_path / "notes.txt").touch()
    claim_folder(file, f"# lora.yaml, {HEAD}\n\nseed: 1\n")
    (tmp_path / "data.json").touch()
    claim_folder(file, f"# lora.yaml, {HEAD}\n\nseed: 2\n")
    assert "seed: 2" in file.read_text()


def test_what_an_earlier_version_has_left_is_replaced(tmp_path):
    file = tmp_path / "hyperparams.yaml"
    head = "put together with its base and the command line"  # that of 0.1.0
    file.write_text(f"# lora.yaml, {head}\n\nseed: 1\n")
    claim_folder(file, "seed: 2\n")
    assert file.read_text() == "seed: 2\n"


@pytest.mark.parametrize("kind", ["a folder", "a pipe or device"])
@pytest.mark.parametrize(
    "name",
    [
        *(".lock", "log.txt", "summary.json", "data.json", "confusion.png"),
        *("hyperparams.yaml", "fold1/log.txt", "fold2-draw3/result.json"),
    ],
)
def test_other_kind_in_place_of_a_file_is_named(name, kind, tmp_path):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.mkdir() if kind == "a folder" else os.mkfifo(file)
    with pytest.raises(HparamsError, match=f"{name} is {kind}, .*move it"):
        claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")


def test_file_in_place_of_a_folds_folder_is_named(tmp_path):
    (tmp_path / "fold_notes").touch()
    claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")
    (tmp_path / "fold3").touch()
    with pytest.raises(HparamsError, match="fold3 is a file, where a fold's"):
        claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")
