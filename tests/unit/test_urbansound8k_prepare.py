"""Preparing UrbanSound8K, on generated clips."""

import csv
import importlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_modules.data import AudioFacts
from petl_modules.data.prepare import finishing as preparation
from petl_modules.utils import AudioError, DataError
from tests.corpora import sound_of, write_urbansound8k

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "UrbanSound8k"
HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ROWS = [
    "17-3-0-0.wav,17,0.0,0.1,1,1,3,dog_bark",
    "17-3-0-12.wav,17,0.1,0.2,1,1,3,dog_bark",
    "18-8-1-0.wav,18,4.5,4.6,2,10,8,siren",
]
CLASSES = dict(
    air_conditioner=1000,
    car_horn=429,
    children_playing=1000,
    dog_bark=1000,
    drilling=1000,
    engine_idling=1000,
    gun_shot=374,
    jackhammer=1000,
    siren=929,
    street_music=1000,
)


@pytest.fixture(scope="module")
def us8k():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("urbansound8k_prepare")


def write_table(folder, *rows, header=HEADER):
    """Write the list of clips."""
    table = folder / "metadata" / "UrbanSound8K.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


def write_clip(folder, row, samples=None, rate=16000, **options):
    """Write the clip that a row of the list names."""
    fields = dict(zip(HEADER.split(","), row.split(",")))
    place = folder / "audio" / f"fold{fields['fold']}"
    place.mkdir(parents=True, exist_ok=True)
    path = place / fields["slice_file_name"]
    samples = sound_of(path.name) if samples is None else samples
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.fixture
def data(tmp_path):
    """A data folder of three good clips."""
    folder = tmp_path / "UrbanSound8K"
    write_table(folder, *ROWS)
    for row in ROWS:
        write_clip(folder, row)
    return folder


def test_labels_are_the_official_ones(us8k):
    assert us8k.LABELS == tuple(CLASSES)


def test_manifest(us8k, data, tmp_path):
    path, labels = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert labels == us8k.LABELS
    manifest = json.loads(path.read_text())
    assert list(manifest) == ["17-3-0-0", "17-3-0-12", "18-8-1-0"]
    assert manifest["18-8-1-0"] == {
        "wav": "{data_root}/audio/fold10/18-8-1-0.wav",
        "duration": 0.1,
        "digest": manifest["18-8-1-0"]["digest"],
        "label": "siren",
        "fold": 10,
        "recording": "18",
    }
    assert list((tmp_path / "out").glob("*.json")) == [path]


FORMATS = {
    "stereo": dict(samples=np.full((1600, 2), 0.1)),
    "8 bit": dict(subtype="PCM_U8"),
    "24 bit, 6 channels": dict(
        samples=np.full((1600, 6), 0.1), subtype="PCM_24"
    ),
    "float": dict(subtype="FLOAT"),
    "MS ADPCM": dict(subtype="MS_ADPCM"),
    "extensible": dict(format="WAVEX"),
    "8 kHz": dict(samples=np.full(800, 0.1), rate=8000),
    "96 kHz": dict(samples=np.full(9600, 0.1), rate=96000),
    "192 kHz": dict(samples=np.full(19200, 0.1), rate=192000),
    "0.05 s": dict(samples=np.full(800, 0.1)),
    "0.001 s": dict(samples=np.full(16, 0.1)),
}


@pytest.mark.parametrize("case", FORMATS)
def test_format_of_a_clip(case, us8k, data, tmp_path):
    write_clip(data, ROWS[0], **FORMATS[case])
    path, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    seconds = json.loads(path.read_text())["17-3-0-0"]["duration"]
    expected = float(case[:-2]) if case.startswith("0.") else 0.1
    rounded = 0.03 if case == "MS ADPCM" else 0  # it stores whole blocks
    assert seconds == pytest.approx(expected, abs=rounded)


def test_files_that_are_not_listed_are_left_alone(us8k, data, tmp_path):
    for name in ("._17-3-0-0.wav", ".DS_Store", "notes.txt"):
        (data / "audio" / "fold1" / name).write_bytes(b"\0\5\26\7")
    path, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert len(json.loads(path.read_text())) == 3


def test_columns_in_another_order(us8k, data):
    names = HEADER.split(",")
    clips = us8k.parse_clips("\n".join([HEADER, *ROWS]).encode(), "x.csv")
    for order in (names[::-1], names[3:] + names[:3], sorted(names)):
        stream = io.StringIO()
        writer = csv.DictWriter(stream, order)
        writer.writeheader()
        writer.writerows(dict(zip(names, row.split(","))) for row in ROWS)
        content = stream.getvalue().encode("utf-8-sig")
        assert us8k.parse_clips(content, "x.csv") == clips


def test_times_and_salience_may_be_absent(us8k):
    text = "slice_file_name,fsID,fold,classID,class,mine\n7-0-0-1.wav,7,2,0,{}"
    content = text.format("air_conditioner,x").encode()
    assert us8k.parse_clips(content, "x.csv") == {
        "7-0-0-1": {
            "wav": "audio/fold2/7-0-0-1.wav",
            "label": "air_conditioner",
            "fold": 2,
            "recording": "7",
        }
    }


CHANGES = {
    "a clip's content": lambda data: write_clip(data, ROWS[0], np.zeros(99)),
    "a clip's time": lambda data: os.utime(
        data / "audio" / "fold1" / "17-3-0-0.wav", ns=(1, 1)
    ),
    "the list": lambda data: write_table(data, *ROWS[:2]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_makes_a_new_manifest(change, us8k, data, tmp_path):
    old, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    CHANGES[change](data)
    new, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert new != old


def test_audio_is_not_read_again(us8k, data, tmp_path, monkeypatch):
    first, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    monkeypatch.setattr(preparation, "check_audio", None)
    write_table(data, *ROWS[::-1])  # rows in another order say the same
    again, _ = us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert again == first


LISTS = {
    "empty": ("", ":1: column 'slice_file_name' is missing; found: none"),
    "no clips": (HEADER, ":1: no clips"),
    "changed header": (
        HEADER.replace("fold", "folder") + "\n" + ROWS[0],
        ":1: column 'fold' is missing; found: slice_file_name, fsID, start",
    ),
    "no header": (ROWS[0], ":1: column 'fold' is missing; found: 17-3-0-0"),
    "column twice": (
        HEADER + ",salience\n" + ROWS[0] + ",2",
        ":1: column 'salience' is there 2 times",
    ),
}
BAD_ROWS = {
    "fold 0": (ROWS[0].replace(",1,3", ",0,3"), "fold '0'"),
    "fold 11": (ROWS[0].replace(",1,3", ",11,3"), "fold '11' is not an"),
    "fold with a letter": (ROWS[0].replace(",1,3", ",fold1,3"), "fold 'fold1'"),
    "class number 10": (ROWS[0].replace(",3,d", ",10,d"), "classID '10' is"),
    "no class number": (ROWS[0].replace(",3,d", ",,d"), "classID '' is not an"),
    "class of another number": (
        ROWS[0].replace("dog_bark", "siren"),
        "class 'siren' is not the name of classID 3, 'dog_bark'",
    ),
    "class outside the set": (
        ROWS[0].replace("dog_bark", "cat_meow"),
        "class 'cat_meow' is not the name of classID 3, 'dog_bark'",
    ),
    "name of another class": (
        ROWS[0].replace("17-3-", "17-2-"),
        "classID '3' is not the '2' of '17-2-0-0.wav'",
    ),
    "name of another recording": (
        ROWS[0].replace("17-3-", "71-3-"),
        "fsID '17' is not the '71' of '71-3-0-0.wav'",
    ),
    "name without slice": (
        ROWS[0].replace("-0-0", "-0"),
        "slice_file_name '17-3-0.wav' is not <fsID>-<classID>-<occurrence>",
    ),
    "leaves": ("../" + ROWS[0], "slice_file_name '../17-3-0-0.wav' is not"),
    "no name": (ROWS[0][12:], "slice_file_name '' is not"),
    "other format": (ROWS[0].replace(".wav", ".mp3"), "slice_file_name '17-3-"),
    "no recording": (ROWS[0].replace(",17,", ",,"), "fsID '' is not the '17'"),
    "few fields": ("17-3-0-0.wav,17", "2 fields where the header has 8"),
    "many fields": (ROWS[0] + ",x", "9 fields where the header has 8"),
    "open quote": (ROWS[0] + ',"', "unexpected end of data"),
}
LISTS |= {
    case: (f"{HEADER}\n{ROWS[2]}\n{row}", f":3: {text}")
    for case, (row, text) in BAD_ROWS.items()
}
LISTS |= {
    "listed twice": (
        "\n".join([HEADER, *ROWS, ROWS[0]]),
        ":5: clip '17-3-0-0' is listed in line 2 already",
    ),
    "listed in two folds": (
        "\n".join([HEADER, *ROWS, ROWS[0].replace(",1,3", ",2,3")]),
        ":5: clip '17-3-0-0' is listed in line 2 already",
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_list(case, us8k, data, tmp_path):
    text, expected = LISTS[case]
    table = data / "metadata" / "UrbanSound8K.csv"
    table.write_text(text)
    with pytest.raises(ValueError) as error:
        us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert type(error.value) is DataError
    assert f"{table}{expected}" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_list_in_another_encoding(us8k):
    content = f"{HEADER}\n{ROWS[0]}\ncaf\xe9".encode("latin-1")
    with pytest.raises(
        ValueError, match="x.csv:3: byte 0xe9 is not UTF-8"
    ) as error:
        us8k.parse_clips(content, "x.csv")
    assert type(error.value) is DataError


def test_all_problems_of_the_list_together(us8k):
    bad = ROWS[1].replace(",1,3,dog", ",12,4,dog")
    text = f"{HEADER}\n{ROWS[0]}\n{bad}\nb.wav,1\n{ROWS[0]}"
    with pytest.raises(ValueError) as error:
        us8k.parse_clips(text.encode(), "x.csv")
    first, *lines, remedy = str(error.value).splitlines()
    assert first == "Problems in the list of clips (5):"
    places = [line.split(": ")[0].strip() for line in lines]
    assert places == ["x.csv:3"] * 3 + ["x.csv:4", "x.csv:5"]
    assert "again" in remedy


GOOD = st.builds(
    lambda recording, k, take, fold: [
        f"{recording}-{k}-0-{take}.wav",
        str(recording),
        str(fold),
        str(k),
        list(CLASSES)[k],
    ],
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 10),
)
BAD = st.tuples(
    st.sampled_from(["1-3-0-0.wav", "1-3-0-0.flac", "../a.wav", "", 'e".wav']),
    st.sampled_from(["1", "2", ""]),
    st.sampled_from(["1", "10", "11", "x", ""]),
    st.sampled_from(["0", "3", "10", "-1"]),
    st.sampled_from(["dog_bark", "siren", "cat", "d,og", "do\ng"]),
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(GOOD | BAD, max_size=6))
def test_no_row_is_lost(us8k, rows):
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(us8k.COLUMNS)
    writer.writerows(rows)
    try:
        clips = us8k.parse_clips(stream.getvalue().encode(), "x.csv")
    except ValueError as error:
        assert type(error) is DataError and "x.csv:" in str(error)
    else:
        assert [
            (c["wav"], c["recording"], str(c["fold"]), c["label"])
            for c in clips.values()
        ] == [
            (f"audio/fold{fold}/{name}", recording, fold, label)
            for name, recording, fold, _, label in rows
        ]


TEXT = st.text(alphabet=st.sampled_from("a1,-\"'\r\n\0 \ufeff\u2028.wav/\\"))


@settings(max_examples=300, deadline=None)
@given(content=st.binary() | TEXT.map(lambda t: f"{HEADER}\n{t}".encode()))
def test_any_content_gives_clips_or_the_named_error(us8k, content):
    try:
        assert us8k.parse_clips(content, "x.csv")
    except ValueError as error:
        assert type(error) is DataError and "x.csv:" in str(error)


def test_all_bad_audio_together(us8k, data, tmp_path):
    (data / "audio" / "fold1" / "17-3-0-0.wav").unlink()
    bad = data / "audio" / "fold10" / "18-8-1-0.wav"
    bad.write_bytes(bad.read_bytes()[:-10])
    with pytest.raises(AudioError) as error:
        us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert "2 of 3" in str(error.value)
    assert "fold1/17-3-0-0.wav: No such file" in str(error.value)
    assert "18-8-1-0.wav: truncated, 10 bytes" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_a_recording_in_two_folds_is_told(us8k, data, tmp_path, caplog):
    moved = ROWS[1].replace(",1,3", ",10,3")
    write_table(data, ROWS[0], moved)
    write_clip(data, moved)
    us8k.prepare_urbansound8k(data, tmp_path / "out", True)
    assert "recording '17' is in folds 1, 10" in caplog.text


def test_generated_corpus(us8k, tmp_path, caplog, capsys):
    folder = write_urbansound8k(tmp_path / "UrbanSound8K")
    path, _ = us8k.prepare_urbansound8k(folder, tmp_path / "out", True)
    records = json.loads(path.read_text()).values()
    assert len(records) == len(list(folder.glob("audio/*/[0-9]*.wav"))) == 45
    folds = {}
    for record in records:
        folds.setdefault(record["recording"], set()).add(record["fold"])
    assert all(len(found) == 1 for found in folds.values())
    assert "several folds" not in caplog.text
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "A part of UrbanSound8K: 45 clips; 3 classes; 10 folds"
    assert said[1] == "Clips by class: car_horn: 15, dog_bark: 15, siren: 15"
    assert said[2].startswith("Clips by fold: 1: 6, 2: 3,")


def test_generated_corpus_is_always_the_same(tmp_path):
    folders = [write_urbansound8k(tmp_path / name) for name in "ab"]
    one, other = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    )
    assert one == other


def test_partial_must_be_asked_for(us8k, data, tmp_path):
    with pytest.raises(ValueError) as error:
        us8k.prepare_urbansound8k(data, tmp_path / "out")
    text = str(error.value)
    assert "Found: 3 clips; 2 classes; 2 folds." in text
    assert "Expected: 8732 clips; 10 classes; 10 folds." in text
    assert "--allow_partial True" in text
    assert not any((tmp_path / "out").glob("[!.]*"))


def full_list(folds=10, **counts):
    """The rows of a list with the dataset's counts, but for changes."""
    labels = [
        (number, label)
        for number, (label, clips) in enumerate((CLASSES | counts).items())
        for _ in range(clips)
    ]
    return [
        f"{i}-{number}-0-0.wav,{i},0,4,1,{i % folds + 1},{number},{label}"
        for i, (number, label) in enumerate(labels)
    ]


def test_full_counts(us8k, tmp_path, monkeypatch, capsys):
    rows = full_list()
    write_table(tmp_path, *rows)
    monkeypatch.setattr(
        preparation,
        "check_audio",
        lambda paths, *_: [AudioFacts(4.0, "0" * 32)] * len(paths),
    )
    path, _ = us8k.prepare_urbansound8k(tmp_path, tmp_path / "out")
    assert len(json.loads(path.read_text())) == 8732
    assert "car_horn: 429" in capsys.readouterr().out
    write_table(tmp_path, *rows[1:])
    with pytest.raises(ValueError, match="Found: 8731 clips[.] Expected: 8732"):
        us8k.prepare_urbansound8k(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"gun_shot": 0, "car_horn": 803}, "Found: 9 classes. Expected: 10 cl"),
        ({"folds": 9}, "Found: 9 folds. Expected: 10 folds"),
    ],
)
def test_every_class_and_fold_is_there(changes, found, us8k, tmp_path):
    write_table(tmp_path, *full_list(**changes))
    with pytest.raises(ValueError, match=found):
        us8k.prepare_urbansound8k(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("there", ["nothing", "empty folder", "file"])
def test_absent_dataset(there, us8k, tmp_path):
    folder = tmp_path / "data"
    if there == "empty folder":
        folder.mkdir()
    if there == "file":
        folder.write_text("")
    with pytest.raises(FileNotFoundError) as error:
        us8k.prepare_urbansound8k(folder, tmp_path / "out")
    for part in (
        str(folder / "metadata" / "UrbanSound8K.csv"),
        "https://urbansounddataset.weebly.com/urbansound8k.html",
        "CC BY-NC 3.0",
        "audio/fold1 to fold10/*.wav",
        "--data_folder DIR",
        "petl_modules.miniatures",
    ):
        assert part in str(error.value)


def test_list_that_is_a_folder(us8k, tmp_path):
    (tmp_path / "data" / "metadata" / "UrbanSound8K.csv").mkdir(parents=True)
    with pytest.raises(ValueError, match="is a folder, not a file"):
        us8k.prepare_urbansound8k(tmp_path / "data", tmp_path / "out", True)


def test_manifest_folder_that_cannot_be_written(us8k, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        us8k.prepare_urbansound8k(data, tmp_path / "file" / "out", True)
