"""The same sound twice, and labels that look alike."""

import importlib
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
import soundfile

from petl_modules.data.prepare import (
    check_duplicates,
    is_system_file,
    make_folds,
    read_manifest,
    refuse_look_alikes,
)
from petl_modules.data.prepare.names import appearance
from petl_modules.utils import DataError
from tests.corpora import sound_of

ROOT = Path(__file__).resolve().parents[2]
CLIPS = [f"{label}/{i}.wav" for label in ("dog", "rain") for i in range(4)]


def script(folder, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / folder))
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def prepare():
    """The template's prepare function."""
    return script(
        "templates/audio_classification", "audio_prepare"
    ).prepare_audio


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound_of(path.name + path.parent.name), 16000)


@pytest.fixture
def data(tmp_path):
    """A folder with four clips in each of two classes."""
    for name in CLIPS:
        write(tmp_path / "sounds" / name)
    return tmp_path / "sounds"


def flac(source, target):
    samples, rate = soundfile.read(source, dtype="int16")
    soundfile.write(target.with_suffix(".flac"), samples, rate)


def stereo(source, target):
    samples, rate = soundfile.read(source, dtype="int16", always_2d=True)
    soundfile.write(target, samples.repeat(2, axis=1), rate)


WAYS = {
    "copy": shutil.copy,
    "symbolic link": lambda source, target: target.symlink_to(source),
    "hard link": lambda source, target: os.link(source, target),
    "FLAC": flac,
    "two equal channels": stereo,
}


@pytest.mark.parametrize("way", WAYS)
def test_sound_of_two_classes_is_refused(way, prepare, data, tmp_path):
    WAYS[way](data / "dog" / "1.wav", data / "rain" / "again.wav")
    for _ in range(2):  # a manifest of the first time changes nothing
        with pytest.raises(DataError) as error:
            prepare(data, tmp_path / "out", n_folds=3)
        text = str(error.value)
        assert "1 sounds have several labels" in text
        assert "dog/1.wav (dog) = rain/again." in text and "(rain)" in text


@pytest.mark.parametrize("way", WAYS)
def test_sound_of_one_class_stays_in_one_fold(
    way, prepare, data, tmp_path, caplog
):
    for i in range(3):
        target = data / "dog" / f"again{i}.wav"
        WAYS[way](data / "dog" / "1.wav", target)
    path, _ = prepare(data, tmp_path / "out", n_folds=3)
    records = read_manifest(path)
    same = {r["fold"] for name, r in records.items() if "again" in name}
    assert same == {records["dog/1.wav"]["fold"]}
    assert "several parts" not in caplog.text


def test_copies_do_not_count_as_clips_of_a_class(prepare, data, tmp_path):
    for i in range(1, 4):
        shutil.copy(data / "dog" / "0.wav", data / "dog" / f"{i}.wav")
    with pytest.raises(DataError, match="fewer groups of clips .*: dog: 1"):
        prepare(data, tmp_path / "out", n_folds=3)


@pytest.mark.parametrize("way", WAYS)
def test_sound_in_training_and_test_is_told(way, prepare, tmp_path, caplog):
    data = tmp_path / "sounds"
    for split in ("train", "valid", "test"):
        for name in CLIPS:
            write(data / split / name.replace(".wav", f"{split}.wav"))
    WAYS[way](data / "train/dog/0train.wav", data / "test/dog/again.wav")
    for _ in range(2):
        caplog.clear()
        prepare(data, tmp_path / "out")
        assert "1 sounds are in several parts" in caplog.text
        assert "dog/0train.wav (split train)" in caplog.text
        assert "test/dog/again." in caplog.text


def test_different_sounds_are_no_duplicates(prepare, data, tmp_path, caplog):
    prepare(data, tmp_path / "out", n_folds=3)
    assert not caplog.text


def records_of(*rows):
    keys = ("digest", "label", "fold")
    return {str(i): dict(zip(keys, row)) for i, row in enumerate(rows)}


def test_published_contradictions_are_told(caplog):
    records = records_of(("x", "dog", 1), ("x", "cat", 1), ("y", "cat", 2))
    check_duplicates(records, published=True)
    assert "0 (dog) = 1 (cat)" in caplog.text
    assert "used as published" in caplog.text
    with pytest.raises(DataError, match="Remove the clips"):
        check_duplicates(records)


@pytest.mark.parametrize("part", ["split", "fold", "session"])
def test_any_kind_of_part_is_known(part, caplog):
    records = records_of(("x", "dog"), ("x", "dog"), ("z", "dog"))
    for place, record in enumerate(records.values()):
        record[part] = place
    check_duplicates(records)
    assert f"0 ({part} 0) = 1 ({part} 1)" in caplog.text


def test_clips_without_labels_have_no_contradictions(caplog):
    check_duplicates({"a": {"digest": "x"}, "b": {"digest": "x"}})
    assert not caplog.text


def test_sound_of_two_speakers_is_refused_where_there_are_no_labels():
    records = {
        clip: {"digest": "x", "speaker": clip[0]} for clip in ("eve/1", "tim/1")
    }
    with pytest.raises(DataError, match="have several speakers") as error:
        check_duplicates(records)
    assert "eve/1 (e) = tim/1 (t)" in str(error.value)
    for record in records.values():
        record["label"] = "dog"  # two speakers may say the same
    check_duplicates(records)


def test_recipe_finds_them_too(corpus, tmp_path):
    """Every recipe's prepare script ends with the same function."""
    data = tmp_path / "ESC-50-master"
    shutil.copytree(corpus, data)
    first, *_, last = sorted((data / "audio").glob("*.wav"))
    assert first.stem.split("-")[-1] != last.stem.split("-")[-1]
    shutil.copy(first, last)
    prepare = script("recipes/ESC50", "esc50_prepare").prepare_esc50
    with pytest.raises(DataError, match="several labels") as error:
        prepare(data, tmp_path / "out", allow_partial=True)
    assert first.stem in str(error.value) and last.stem in str(error.value)


# Folds by chance


def test_speaker_group_and_sound_bind_together():
    records = {str(i): {"label": "ab"[i % 2]} for i in range(20)}
    records["0"]["speaker"] = records["1"]["speaker"] = "eve"
    records["1"]["group"] = records["2"]["group"] = "7"
    records["2"]["digest"] = records["3"]["digest"] = "f00"
    records["5"]["speaker"] = "Eve"  # looks the same
    make_folds(records, 4)
    assert len({records[clip]["fold"] for clip in "01235"}) == 1
    assert {record["fold"] for record in records.values()} == {1, 2, 3, 4}


def test_folds_of_speakers_are_even():
    """25 speakers of 8 classes: no fold has much more of a class."""
    records = {
        f"{i}": {"label": f"class {i % 8}", "speaker": f"{i * i % 25}"}
        for i in range(2000)
    }
    make_folds(records, 5)
    for label in {record["label"] for record in records.values()}:
        counts = [0] * 5
        for record in records.values():
            counts[record["fold"] - 1] += record["label"] == label
        assert max(counts) <= 1.5 * min(counts)


# Labels

ALIKE = [
    ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")),
    ("Dog", "dog"),
    ("DOG", "dog"),
    *(("dog", f"do{c}g") for c in "\u200b\u200c\u200d\u00ad\ufeff\u2060\u034f"),
    *(("dog", f"dog{c}") for c in "\u200e\u200f\u202a\u202e\u2066\u3164"),
    *(("dog", f"{c}dog{c}") for c in " \u00a0\u2003\u3000"),
    ("\u2764", "\u2764\ufe0f"),
    *(("car horn", f"car{c}horn") for c in "_-\u00a0\u2009\u2010\u2013"),
    ("car horn", "car  horn"),
    ("dog", "d\u043eg"),
    ("ace", "\u0430\u0441\u0435"),
    ("dog", "\uff44\uff4f\uff47"),
    ("fish", "\ufb01sh"),
    ("it's", "it\u2019s"),
    *(("1", other) for other in ("01", "001", "1.0", "1.", "1.00", "+1")),
    ("1.5", "1.50"),
    ("1.5", "01.5"),
    ("-1.5", "-1.500"),
    ("0.5", "00.50"),
    ("0.5", ".5"),
    ("0", "0.0"),
    ("stra\u00dfe", "STRASSE"),
    ("Stra\u00dfe", "STRASSE"),
    ("MOTOP", "\u041c\u041e\u0422\u041e\u0420"),  # Cyrillic
    ("MOTOP", "\u041c\u043e\u0442\u043e\u0440"),
    ("\u041c\u041e\u0422\u041e\u0420", "\u043c\u043e\u0442\u043e\u0440"),
    ("BEKH", "\u0412\u0415\u041a\u041d"),
    ("TAXI", "\u03a4\u0391\u03a7\u0399"),  # Greek
    ("MINT", "\u039c\u0399\u039d\u03a4"),
    ("AMA", "\u0391\u039c\u0391"),
    ("\u0391\u039c\u0391", "\u03b1\u03bc\u03b1"),
    ("\u03a3\u039f\u03a3", "\u03c3\u03bf\u03c2"),
    ("\u0401", "\u00cb"),
    ("\u0393\u03a0\u03a6", "\u0413\u041f\u0424"),
    ("0", "00"),
    ("-1", "-1.0"),
]
APART = [
    ("1", "-1"),
    ("1", "10"),
    ("1.05", "1.5"),
    ("1", "1.5"),
    ("10", "1.0"),
    ("100", "1"),
    (".", "0"),
    ("1.1.1", "1.1.10"),
    ("C", "C#"),
    ("cafe", "caf\u00e9"),
    ("dog", "dogs"),
    ("a b", "ab"),
    ("snr_5", "snr_-5"),
    ("snr 5", "snr -5"),
    ("5 \u00b5m", "5 mm"),  # micro
    ("5 \u03bcs", "5 ms"),
    ("\u043c\u0438\u0440", "\u043c\u0443\u0440"),
    ("\u0438", "\u0439"),
    ("activate|lamp|none", "activate|lamps|none"),
    ("\u0433\u0440\u043e\u0437\u0430", "\u0433\u0440\u043e\u0437\u044b"),
    ("\u96e8", "\u96ea"),
    ("\U0001f415", "\U0001f408"),
]


@pytest.mark.parametrize("pair", ALIKE, ids=ascii)
def test_labels_that_look_alike_are_refused(pair):
    records = {f"{i}.wav": {"label": label} for i, label in enumerate(pair)}
    with pytest.raises(DataError, match="look alike") as error:
        refuse_look_alikes(records)
    text = str(error.value)
    assert all(ascii(label) in text for label in pair)
    assert "0.wav" in text and "1.wav" in text and text.isascii()


@pytest.mark.parametrize("pair", APART, ids=ascii)
def test_labels_that_differ_are_kept(pair):
    refuse_look_alikes({str(i): {"label": x} for i, x in enumerate(pair)})


def test_speakers_that_look_alike_are_refused():
    records = {"1": {"speaker": "Eve"}, "2": {"speaker": "eve"}}
    with pytest.raises(DataError, match="some speakers look alike:\n  'Eve'"):
        refuse_look_alikes(records, "speaker")


def test_appearance_is_its_own():
    for pair in ALIKE:
        for label in pair:
            assert appearance(appearance(label)) == appearance(label)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("ESC50", "esc50"),
        ("FSC", "fsc"),
        ("GSC", "gsc"),
        ("IEMOCAP", "iemocap"),
        ("UrbanSound8k", "urbansound8k"),
    ],
)
def test_labels_of_the_recipes_differ(folder, name):
    labels = script(f"recipes/{folder}", f"{name}_prepare").LABELS
    refuse_look_alikes({label: {"label": label} for label in labels})


def test_look_alike_folders_are_refused(prepare, data, tmp_path):
    (data / "Dog").mkdir()
    for i in range(4):
        write(data / "Dog" / f"{i}.wav")
    with pytest.raises(DataError, match="'Dog' .*'dog'"):
        prepare(data, tmp_path / "out", n_folds=3)


@pytest.mark.parametrize(
    ("name", "passed_over"),
    [
        *((name, True) for name in (".DS_Store", "._dog.wav", "__MACOSX")),
        *((name, True) for name in ("Thumbs.db", "THUMBS.DB", "desktop.ini")),
        *((name, True) for name in ("ehthumbs.db", "Icon\r", "@eaDir")),
        *((name, False) for name in ("dog.wav", "Icon", "thumbs", "_x", "db")),
    ],
)
def test_files_of_the_system(name, passed_over):
    assert is_system_file(name) == passed_over
