"""Preparing Fluent Speech Commands, on generated clips."""

import csv
import importlib
import io
import json
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_modules.data import AudioFacts
from petl_modules.data.prepare import finishing as preparation
from petl_modules.utils import AudioError, DataError
from tests.corpora import sound_of, write_fsc

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "FSC"
HEADER = ["", "path", "speakerId", "transcription"]
HEADER += ["action", "object", "location"]
SAID = 'Turn on the lamp, "please"'
INTENTS = """
change language|none|none; activate|music|none; activate|lights|none
deactivate|lights|none; increase|volume|none; decrease|volume|none
increase|heat|none; decrease|heat|none; deactivate|music|none
activate|lamp|none; deactivate|lamp|none
activate|lights|kitchen; activate|lights|bedroom; activate|lights|washroom
deactivate|lights|kitchen; deactivate|lights|bedroom
deactivate|lights|washroom; increase|heat|kitchen; increase|heat|bedroom
increase|heat|washroom; decrease|heat|kitchen; decrease|heat|bedroom
decrease|heat|washroom; bring|newspaper|none; bring|juice|none
bring|socks|none; bring|shoes|none; change language|Chinese|none
change language|English|none; change language|German|none
change language|Korean|none
"""


def row(speaker, clip, said="Hi", intent="activate|lamp|none", **changes):
    """The fields of a row of the dataset."""
    path = f"wavs/speakers/{speaker}/{clip}.wav"
    fields = ["7", path, speaker, said, *intent.split("|")]
    return [changes.get(k, v) for k, v in zip(["index", *HEADER[1:]], fields)]


ROWS = {
    "train": [
        row("anna", "1", SAID),
        row("anna", "2", "Bring, now", "bring|juice|none"),
        row("bert", "1", "Heat\tup", "increase|heat|washroom"),
    ],
    "valid": [row("cora", "1", "No", "change language|Chinese|none")],
    "test": [row("dora", "1")],
}


def table(rows, header=HEADER):
    """A CSV file's text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *rows])
    return stream.getvalue()


def name(split):
    """A list's name in the data folder."""
    return f"data/{split}_data.csv"


@pytest.fixture
def fsc(monkeypatch):
    """The prepare script, imported as train.py imports it."""
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module("fsc_prepare")


@pytest.fixture(scope="module")
def parse():
    """The script's parser, once for all the examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("fsc_prepare").parse_clips


@pytest.fixture
def data(tmp_path):
    """A data folder of five good clips."""
    folder = tmp_path / "fluent_speech_commands_dataset"
    (folder / "data").mkdir(parents=True)
    for split, rows in ROWS.items():
        (folder / name(split)).write_text(table(rows))
        for _, wav, *_ in rows:
            (folder / wav).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / wav, sound_of(wav), 16000)
    return folder


def test_labels_are_the_31_intents_in_order(fsc):
    intents = INTENTS.strip().replace("\n", "; ").split("; ")
    assert len(intents) == 31
    assert fsc.LABELS == tuple(sorted(intents))


def test_manifest(fsc, data, tmp_path):
    path, labels = fsc.prepare_fsc(data, tmp_path / "out", True)
    assert labels == fsc.LABELS
    manifest = json.loads(path.read_text())
    assert list(manifest) == [
        "speakers/anna/1",
        "speakers/anna/2",
        "speakers/bert/1",
        "speakers/cora/1",
        "speakers/dora/1",
    ]
    assert manifest["speakers/anna/1"] == {
        "wav": "{data_root}/wavs/speakers/anna/1.wav",
        "duration": 0.1,
        "digest": manifest["speakers/anna/1"]["digest"],
        "label": "activate|lamp|none",
        "split": "train",
        "speaker": "anna",
        "transcription": SAID,
    }
    assert list((tmp_path / "out").glob("*.json")) == [path]


def test_splits_are_complete_and_share_no_speaker(fsc, data, tmp_path, caplog):
    path, _ = fsc.prepare_fsc(data, tmp_path / "out", True)
    records = json.loads(path.read_text()).values()
    for split, rows in ROWS.items():
        wavs = {r["wav"] for r in records if r["split"] == split}
        assert wavs == {"{data_root}/" + fields[1] for fields in rows}
    speakers = [{r[2] for r in rows} for rows in ROWS.values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers))
    assert "speaker" not in caplog.text.replace("speakers/", "")


def test_generated_corpus(fsc, tmp_path, caplog):
    folder = write_fsc(tmp_path / "data")
    path, _ = fsc.prepare_fsc(folder, tmp_path / "out", True)
    records = json.loads(path.read_text()).values()
    found = Counter((r["split"], r["label"]) for r in records)
    assert len(found) == 9 and len(records) == 27
    assert all(n == 5 if k[0] == "train" else n == 2 for k, n in found.items())
    assert not caplog.text


def test_columns_are_read_by_name(fsc):
    header = ["location", "object", "action", "note", "transcription"]
    header += ["speakerId", "path"]
    fields = ["none", "lamp", "activate", "", SAID, "a", r"wavs\speakers\a\b.c"]
    text = "\ufeff" + table([fields], header).replace("\n", "\r\n")
    assert fsc.parse_clips({"test": ("x.csv", text.encode())}) == {
        "speakers/a/b": {
            "wav": "wavs/speakers/a/b.c",
            "label": "activate|lamp|none",
            "split": "test",
            "speaker": "a",
            "transcription": SAID,
        }
    }


def test_two_speakers_may_name_a_clip_alike(fsc):
    content = table([row("anna", "1"), row("bert", "1")]).encode()
    assert len(fsc.parse_clips({"train": ("x.csv", content)})) == 2


def test_same_input_finds_the_same_manifest(fsc, data, tmp_path, monkeypatch):
    first, _ = fsc.prepare_fsc(data, tmp_path / "out", True)
    other, _ = fsc.prepare_fsc(data, tmp_path / "other", True)
    assert other.name == first.name
    assert other.read_bytes() == first.read_bytes()
    monkeypatch.setattr(preparation, "check_audio", None)
    again, _ = fsc.prepare_fsc(data, tmp_path / "out", True)
    assert again == first


def test_another_transcription_makes_another_manifest(fsc, data, tmp_path):
    old, _ = fsc.prepare_fsc(data, tmp_path / "out", True)
    file = data / name("test")
    file.write_text(file.read_text().replace("Hi", "Hello"))
    new, _ = fsc.prepare_fsc(data, tmp_path / "out", True)
    assert new != old and old.exists()


GOOD = row("anna", "9")
LISTS = {
    "empty": ("", ":1: column 'path' is missing; found: none"),
    "no clips": (table([]), ":1: no clips"),
    "changed header": (
        table([GOOD], [*HEADER[:4], "verb", *HEADER[5:]]),
        ":1: column 'action' is missing; found: , path, speakerId, "
        "transcription, verb, object, location",
    ),
    "column twice": (
        table([[*GOOD, "none"]], [*HEADER, "location"]),
        ":1: column 'location' is there 2 times",
    ),
    "other object": (
        table([row("a", "9", intent="bring|tea|none")]),
        ":2: intent 'bring|tea|none' is not one of bring|juice|none, "
        "bring|newspaper|none, bring|shoes|none, bring|socks|none",
    ),
    "other action": (
        table([row("a", "9", intent="sing|none|none")]),
        ":2: intent 'sing|none|none' is not one of activate|..., bring|..., ",
    ),
    "other combination": (
        table([row("a", "9", intent="activate|music|kitchen")]),
        ":2: intent 'activate|music|kitchen' is not one of activate|lamp|none",
    ),
    "no location": (
        table([row("a", "9", location="")]),
        ":2: intent 'activate|lamp|' is not one of",
    ),
    "no speaker": (
        table([row("a", "9", speakerId="")]),
        ":2: speakerId is empty",
    ),
    "listed twice": (
        table([GOOD, GOOD]),
        ":3: clip 'speakers/anna/9' is listed at {file}:2 already",
    ),
    "listed twice in other words": (
        table([GOOD, row("a", "9", path=r"wavs\.\speakers\anna\9.flac")]),
        ":3: clip 'speakers/anna/9' is listed at {file}:2 already",
    ),
    "listed in another list": (
        table([GOOD, row("anna", "1")]),
        ":3: clip 'speakers/anna/1' is listed at {train}:2 already",
    ),
    "leaves": (
        table([row("a", "9", path="wavs/../../9.wav")]),
        ":2: path 'wavs/../../9.wav' leaves the data folder",
    ),
    "absolute": (
        table([row("a", "9", path="/wavs/9.wav")]),
        ":2: path '/wavs/9.wav' leaves the data folder",
    ),
    "elsewhere": (
        table([row("a", "9", path="speakers/a/9.wav")]),
        ":2: path 'speakers/a/9.wav' does not begin with wavs/",
    ),
    "no path": (table([row("a", "9", path="")]), ":2: path '' is no file name"),
    "odd path": (table([row("a", "9", path="wavs/\0.wav")]), ":2: "),
    "few fields": (
        table([GOOD, GOOD[:5]]),
        ":3: 5 fields where the header has 7",
    ),
    "transcription not quoted": (
        table([]) + f"0,wavs/speakers/a/9.wav,a,{SAID},activate,lamp,none",
        ":2: 8 fields where the header has 7",
    ),
    "open quote": (
        table([GOOD]) + '1,wavs/speakers/a/9.wav,a,"Hi,activate,lamp,none',
        ":3: unexpected end of data",
    ),
    "quoted lines": (
        table([row("a", "9", "Hi\nthere"), GOOD]),
        ":2: a quoted field runs on",
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_list(case, fsc, data, tmp_path):
    text, expected = LISTS[case]
    file = data / name("valid")
    file.write_text(text)
    with pytest.raises(ValueError) as error:
        fsc.prepare_fsc(data, tmp_path / "out", True)
    assert type(error.value) is DataError
    expected = expected.format(file=file, train=data / name("train"))
    assert f"  {file}{expected}" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_list_in_another_encoding(fsc):
    content = table([row("a", "1"), row("a", "2", "Caf\xe9")]).encode("latin-1")
    with pytest.raises(ValueError, match="x.csv:3: byte 0xe9 is not UTF-8"):
        fsc.parse_clips({"train": ("x.csv", content)})


def test_all_problems_of_all_lists_together(fsc, data, tmp_path):
    (data / name("train")).write_text(
        table([row("a", "1", intent="bring|tea|none", path="x.wav"), GOOD[:4]])
    )
    (data / name("valid")).unlink()
    (data / name("test")).write_text(table([row("a", "1", speakerId="")]))
    with pytest.raises(ValueError) as error:
        fsc.prepare_fsc(data, tmp_path / "out", True)
    first, *lines, remedy = str(error.value).splitlines()
    assert first == "Problems in the list of clips (5):"
    places = [line.split(": ")[0].strip() for line in lines]
    assert places == [
        f"{data / name('train')}:2",
        f"{data / name('train')}:2",
        f"{data / name('train')}:3",
        f"{data / name('valid')}:1",
        f"{data / name('test')}:2",
    ]
    assert "valid_data.csv:1: the file was not found" in str(error.value)
    assert "again" in remedy


def test_a_speaker_in_two_splits_is_told(fsc, data, tmp_path, caplog):
    file = data / name("test")
    file.write_text(file.read_text().replace(",dora,", ",anna,"))
    fsc.prepare_fsc(data, tmp_path / "out", True)
    assert "speaker 'anna' is in splits test, train" in caplog.text


def test_all_bad_audio_together(fsc, data, tmp_path):
    (data / "wavs/speakers/anna/1.wav").unlink()
    (data / "wavs/speakers/cora/1.wav").write_bytes(b"")
    (data / "wavs/speakers/dora/1.wav").write_bytes(b"RIFF, but no sound")
    with pytest.raises(AudioError) as error:
        fsc.prepare_fsc(data, tmp_path / "out", True)
    assert "3 of 5" in str(error.value)
    assert "anna/1.wav: No such file" in str(error.value)
    assert "cora/1.wav: empty" in str(error.value)
    assert "dora/1.wav: not audio, or damaged" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_partial_must_be_asked_for(fsc, data, tmp_path):
    with pytest.raises(ValueError) as error:
        fsc.prepare_fsc(data, tmp_path / "out")
    text = str(error.value)
    assert "Found: 5 clips; 4 intents; splits train: 3" in text
    assert "Expected: 30043 clips; 31 intents; splits train: 23132" in text
    assert "--allow_partial True" in text


def test_partial_tells_the_counts(fsc, data, tmp_path, capsys):
    fsc.prepare_fsc(data, tmp_path / "out", True)
    said = capsys.readouterr().out
    assert "A part of FSC: 5 clips; 4 intents; splits test: 1, train: 3" in said


def test_full_counts(fsc, data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        preparation,
        "check_audio",
        lambda paths, *_: [AudioFacts(2.3, "0" * 32)] * len(paths),
    )
    rows = {
        split: [row(split, i, SAID, fsc.LABELS[i % 31]) for i in range(number)]
        for split, number in [("train", 23132), ("valid", 3118), ("test", 3793)]
    }
    for split in rows:
        (data / name(split)).write_text(table(rows[split]))
    path, _ = fsc.prepare_fsc(data, tmp_path / "out")
    assert len(json.loads(path.read_text())) == 30043
    moved = rows["train"].pop()
    (data / name("train")).write_text(table(rows["train"]))
    (data / name("valid")).write_text(table([*rows["valid"], moved]))
    with pytest.raises(ValueError, match="splits train: 23131, valid: 3119"):
        fsc.prepare_fsc(data, tmp_path / "out")


@pytest.mark.parametrize("there", ["nothing", "empty folder", "file"])
def test_absent_dataset(there, fsc, tmp_path):
    folder = tmp_path / "data"
    if there == "empty folder":
        folder.mkdir()
    if there == "file":
        folder.write_text("")
    with pytest.raises(FileNotFoundError) as error:
        fsc.prepare_fsc(folder, tmp_path / "out")
    for part in (
        str(folder / "data" / "train_data.csv"),
        "https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-",
        "CC BY-NC-ND 4.0",
        "wavs/speakers/<speaker>/<clip>.wav",
        "--data_folder DIR",
        "not downloaded",
        "petl_modules.miniatures",
    ):
        assert part in str(error.value)


def test_list_that_is_a_folder(fsc, data, tmp_path):
    (data / name("test")).unlink()
    (data / name("test")).mkdir()
    with pytest.raises(
        ValueError, match="test_data.csv is a folder, not a file"
    ):
        fsc.prepare_fsc(data, tmp_path / "out", True)


def test_manifest_folder_that_cannot_be_written(fsc, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        fsc.prepare_fsc(data, tmp_path / "file" / "out", True)


SLOTS = ["activate", "lamp", "none", "bring", "juice", "x", "", "a|b"]
FIELDS = st.tuples(
    st.sampled_from(["0", ""]),
    st.sampled_from(
        ["wavs/a.wav", "wavs/b/a.wav", "a.wav", "../a", "", "wavs", "wavs/."]
    ),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["Hi", SAID, "", "Hi\nthere", ' "']),
    *[st.sampled_from(SLOTS)] * 3,
)
RIGHT = st.builds(
    lambda i, said, intent: row("a", i, said, intent),
    st.integers(0, 50),
    st.text(st.sampled_from("a, '\"\t|")),
    st.sampled_from(["activate|lamp|none", "change language|none|none"]),
)
LISTED = st.lists(RIGHT, max_size=4) | st.lists(RIGHT | FIELDS, max_size=4)


@settings(max_examples=300, deadline=None)
@given(train=LISTED, test=LISTED)
def test_no_row_is_lost(parse, train, test):
    lists = {
        "train": ("x.csv", table(train).encode()),
        "test": ("y.csv", table(test).encode()),
    }
    try:
        clips = parse(lists)
    except ValueError as error:
        assert type(error) is DataError
        assert "x.csv:" in str(error) or "y.csv:" in str(error)
    else:
        found = [
            [c["split"], c["wav"], c["transcription"], c["label"]]
            for c in clips.values()
        ]
        assert found == [
            [split, fields[1], fields[3].strip(), "|".join(fields[4:])]
            for split, rows in [("train", train), ("test", test)]
            for fields in rows
        ]


TEXT = st.text(st.sampled_from("a1,\"'\r\n\0 |\ufeff\u2028wavs/.\\"))


@settings(max_examples=300, deadline=None)
@given(content=st.binary() | TEXT.map(lambda t: (table([]) + t).encode()))
def test_any_content_gives_clips_or_the_named_error(parse, content):
    try:
        assert parse({"train": ("x.csv", content)})
    except ValueError as error:
        assert type(error) is DataError and "x.csv:" in str(error)
