"""GTZAN's prepare script: layouts, protocols, and what is refused."""

import hashlib
import importlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from petl_modules.data import AsListed
from petl_modules.utils import AudioError, DataError, HparamsError
from tests.corpora import sound_of

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "GTZAN"
GENRES = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
# Clips of each genre in the fault-filtered lists, in the order of GENRES
COUNTS = {
    "train": (46, 48, 45, 42, 47, 43, 44, 41, 43, 44),
    "valid": (23, 20, 23, 22, 18, 17, 20, 13, 17, 24),
    "test": (31, 31, 30, 29, 27, 27, 27, 30, 26, 32),
}
SHA256 = {
    "train": "82df3d4426e1dc8a15f1dece2ed0d89ce240ecbd9818b6f947488a9f5d581c85",
    "valid": "049e4ab67938aa22901cf0c611958fce0b9b9ff14362f658036bde470a37f71d",
    "test": "54cd6cf4ad283da2fba4c6ab3f4733374983708eeef9ee209d7670a575d8d988",
}


@pytest.fixture
def gtzan(monkeypatch):
    """The prepare script, imported as train.py imports it."""
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module("gtzan_prepare")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """All 1,000 clips, very short: links to few files, which is quick."""
    folder = tmp_path_factory.mktemp("gtzan")
    for genre in GENRES:
        place = folder / "genres" / genre
        place.mkdir(parents=True)
        first = place / f"{genre}.00000.wav"
        soundfile.write(first, sound_of(genre), 22_050)
        for number in range(1, 100):
            os.link(first, place / f"{genre}.{number:05d}.wav")
    jazz = folder / "genres" / "jazz"
    (jazz / "._jazz.00000.wav").write_bytes(b"\0\5\x16\7")
    (jazz / ".DS_Store").touch()
    return folder


@pytest.fixture
def data(original, tmp_path):
    """A copy of them that a test may spoil."""
    return shutil.copytree(original, tmp_path / "data", copy_function=os.link)


def records_of(gtzan, data, tmp_path, **options):
    path, labels = gtzan.prepare_gtzan(data, tmp_path / "out", **options)
    assert labels == GENRES
    return json.loads(path.read_text())


def test_lists_are_the_fault_filtered_ones(gtzan):
    parts = gtzan.filtered_lists()
    assert len(parts) == 930
    for part, counts in COUNTS.items():
        names = sorted(clip for clip in parts if parts[clip] == part)
        genres = Counter(name.split(".")[0] for name in names)
        assert genres == dict(zip(GENRES, counts))
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        assert digest == SHA256[part]


def test_other_lists_of_torchaudio_are_refused(gtzan, monkeypatch):
    lists = gtzan.gtzan.filtered_valid
    monkeypatch.setattr(gtzan.gtzan, "filtered_valid", lists[1:])
    with pytest.raises(DataError, match=r"filtered_valid of GTZAN \(196 names"):
        gtzan.filtered_lists()


def test_manifest_of_the_lists(gtzan, data, tmp_path):
    records = records_of(gtzan, data, tmp_path)
    assert Counter(record["split"] for record in records.values()) == {
        "train": 443,
        "valid": 197,
        "test": 290,
    }
    assert records["blues.00029"] == {
        "wav": "{data_root}/genres/blues/blues.00029.wav",
        "duration": 1600 / 22_050,
        "digest": records["blues.00029"]["digest"],
        "label": "blues",
        "split": "train",
    }
    folds, protocol = AsListed("filtered")(records)
    assert list(folds) == [1] and len(folds[1]["test"]) == 290
    assert protocol == "one split (filtered): train, validation, test"


def test_folds_are_stratified_and_drawn_by_the_seed(gtzan, data, tmp_path):
    options = {"protocol": "ten_folds"}
    records = records_of(gtzan, data, tmp_path, **options, seed=11)
    found = Counter((r["label"], r["fold"]) for r in records.values())
    assert len(found) == 100 and set(found.values()) == {10}
    _, protocol = AsListed("ten_folds")(records)
    told = "10 folds (ten_folds): test k, validation k + 1, train 8"
    assert protocol == told
    assert gtzan.draw_folds(11) == {k: r["fold"] for k, r in records.items()}
    assert gtzan.draw_folds(10) != gtzan.draw_folds(11)


@pytest.mark.parametrize("name", ["genres_original", "."])
def test_other_layouts(name, gtzan, data, tmp_path):
    if name == ".":
        data = data / "genres"
    else:
        (data / "genres").rename(data / name)
    records = records_of(gtzan, data, tmp_path)
    root = "{data_root}/" + f"{name}/".removeprefix("./")
    assert records["pop.00042"]["wav"] == f"{root}pop/pop.00042.wav"


@pytest.mark.parametrize(
    "protocol, count", [("filtered", 929), ("ten_folds", 999)]
)
@pytest.mark.parametrize("damage", ["no audio", "absent"])
def test_the_clip_that_a_known_copy_has_damaged(
    damage, protocol, count, gtzan, data, tmp_path, caplog
):
    path = data / "genres" / "jazz" / "jazz.00054.wav"
    path.unlink()
    if damage == "no audio":
        path.write_bytes(b"\0" * 1000)
    records = records_of(gtzan, data, tmp_path, protocol=protocol)
    assert len(records) == count and "jazz.00054" not in records
    assert "jazz.00054, which is damaged in a known copy" in caplog.text
    if protocol == "filtered":
        parts = Counter(record["split"] for record in records.values())
        assert parts["train"] == 442


def test_another_damaged_clip_is_an_error(gtzan, data, tmp_path):
    path = data / "genres" / "rock" / "rock.00010.wav"
    path.unlink()
    path.write_bytes(b"\0" * 1000)
    with pytest.raises(AudioError, match="1 of 930 audio.*\n.*rock.00010.wav"):
        records_of(gtzan, data, tmp_path)
    assert len(records_of(gtzan, data, tmp_path, skip_bad_audio=True)) == 929


def test_missing_clips_are_named(gtzan, data, tmp_path, capsys):
    names = ["blues.00029", "pop.00042"]  # in the lists
    for name in names:
        genre = name.split(".")[0]
        (data / "genres" / genre / f"{name}.wav").unlink()
    with pytest.raises(DataError, match="2 of the 930 clips") as error:
        records_of(gtzan, data, tmp_path)
    assert all(name in str(error.value) for name in names)
    assert len(records_of(gtzan, data, tmp_path, allow_partial=True)) == 928
    assert "A part of GTZAN: 928 clips" in capsys.readouterr().out


def test_a_clip_of_no_list_may_be_missing(gtzan, data, tmp_path):
    lists = gtzan.filtered_lists()
    (data / "genres" / "pop" / "pop.00015.wav").unlink()
    assert "pop.00015" not in lists
    assert len(records_of(gtzan, data, tmp_path)) == 930
    with pytest.raises(DataError, match="1 of the 1000.*\n.*pop.00015"):
        records_of(gtzan, data, tmp_path, protocol="ten_folds")


def test_a_subset_has_no_warning_of_the_damaged_clip(
    gtzan, data, tmp_path, caplog
):
    for genre in GENRES[1:]:
        shutil.rmtree(data / "genres" / genre)
    records = records_of(gtzan, data, tmp_path, allow_partial=True)
    assert {record["label"] for record in records.values()} == {"blues"}
    assert "jazz.00054" not in caplog.text


@pytest.mark.parametrize(
    "name", ["rock.00000.wav", "pop.00100.wav", "pop.1.wav", "pop.00000.mp3"]
)
def test_other_files_are_refused(name, gtzan, data, tmp_path):
    (data / "genres" / "pop" / name).touch()
    with pytest.raises(DataError, match=f"'genres/pop/{name}' is no pop"):
        records_of(gtzan, data, tmp_path)


def test_absent_data_and_wrong_protocols_are_named(gtzan, tmp_path):
    with pytest.raises(FileNotFoundError, match="no genres were found in"):
        records_of(gtzan, tmp_path, tmp_path)
    with pytest.raises(HparamsError, match="'folds' is none of: filtered, ten"):
        records_of(gtzan, tmp_path, tmp_path, protocol="folds")
