"""A run's folder: its best fold, and files of its own that are damaged."""

import pytest

from petl_modules.runs.classifier import find_fold
from petl_modules.runs.run_folder import claim_data, claim_folder
from petl_modules.utils import DataError, HparamsError, write_json


def result(**values):
    """Content of a ``result.json``, but for some values."""
    parts = ("train", "valid", "test", "last_epoch_test")
    fold = {
        "fold": 1,
        "epochs": 2,
        "best_epoch": 1,
        **{f"{part}_eer": 0.25 for part in parts},
        "weights_sha256": "0" * 64,
        "seconds": 1.5,
        **values,
    }
    counts = ("total_parameters", "trainable_parameters", "petl_parameters")
    return {"fold": fold, **dict.fromkeys(counts, 10)}


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
    (tmp_path / "fold1").mkdir()
    mine = tmp_path / ".notes.tmp"
    left = [tmp_path / ".summary.json.4711.tmp"]
    left += [tmp_path / "fold1" / ".predictions.csv.8.tmp"]
    for file in [mine, *left]:
        file.touch()
    claim_folder(tmp_path / "hyperparams.yaml", "seed: 1\n")
    assert mine.exists() and not any(file.exists() for file in left)


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
