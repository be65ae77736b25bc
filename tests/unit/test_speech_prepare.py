"""Preparing speech of one's own, on generated clips."""

import doctest
import importlib
import os
from pathlib import Path

import pytest
import soundfile

from petl_modules.data.prepare import read_manifest
from petl_modules.utils import AudioError, DataError
from tests.corpora import sound_of

TEMPLATE = Path(__file__).resolve().parents[2] / "templates"
CLIPS = [f"{day}/{i}" for day in ("friday", "monday") for i in range(6)]


@pytest.fixture(scope="module")
def script():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TEMPLATE / "speech_recognition"))
        yield importlib.import_module("speech_prepare")


@pytest.fixture
def data(tmp_path):
    """Twelve recordings of half a second, each with a text of its own."""
    for number, name in enumerate(CLIPS):
        file = tmp_path / "speech" / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, sound_of(name, 8000), 16000)
        file.with_suffix(".txt").write_text(f"word {'abcdefghijkl'[number]}\n")
    return tmp_path / "speech"


def prepare(script, data, **options):
    """The records of the manifest, and the labels."""
    out = data.parent / "out"
    path, labels = script.prepare_speech(data, out, **options)
    return read_manifest(path), labels


def refused(script, data, error=DataError, **options):
    with pytest.raises(error) as caught:
        prepare(script, data, **options)
    assert type(caught.value) is error
    return str(caught.value)


def test_example(script):
    assert doctest.testmod(script) == (0, 3)


def test_manifest_of_a_folder(script, data, capsys):
    records, labels = prepare(script, data)
    assert [*records] == sorted(CLIPS)
    assert {r["fold"] for r in records.values()} == {*range(1, 11)}
    record = records["friday/0"]
    assert record.pop("digest") and record.pop("fold") in range(1, 11)
    assert record == {
        "wav": "{data_root}/friday/0.wav",
        "duration": 0.5,
        "text": "word a",
    }
    assert labels == ["<blank>", " ", *"abcdefghijklorw"]
    assert capsys.readouterr().out == (
        "12 clips\n16 characters: ' abcdefghijklorw'\n"
    )


def test_alphabets_are_composed(script, data):
    """An accent that is a character of its own, blanks, and a line's end."""
    text = " \u0433\u0434\u0435  cafe\u0301\u00a0\n\u4f60\u597d "
    (data / "monday/0.txt").write_bytes(text.encode("utf-16"))
    records, labels = prepare(script, data)
    composed = "\u0433\u0434\u0435 caf\u00e9 \u4f60\u597d"
    assert records["monday/0"]["text"] == composed
    assert {*composed} <= {*labels}


def spoiled(data, fault):
    """Make a fault; return what the message must say."""
    text, wav = data / "monday/0.txt", data / "monday/0.wav"
    if fault == "empty":
        text.write_text(" \n")
        return f"{text}:1: the transcript of monday/0 is empty"
    if fault == "control":
        text.write_text("a\x07b")
        return f"{text}:1: the transcript of monday/0 has '\\x07' (U+0007)"
    if fault == "encoding":
        text.write_bytes(b"good\n\xe9")
        return f"{text}:2: byte 0xe9 is not UTF-8"
    if fault == "long":
        text.write_text("x" * 40)
        return f"{text}:1: the transcript of monday/0 needs 79 frames"
    if fault == "no text":
        text.unlink()
        return f"{wav}: no monday/0.txt beside it"
    if fault == "no recording":
        wav.unlink()
        return f"{text}: no recording beside it"
    if fault == "suffix":
        soundfile.write(wav.with_suffix(".flac"), sound_of("x"), 16000)
        return "0.wav: differs from monday/0.flac in its suffix only"
    (data / "monday/9.wav").symlink_to("gone")
    return f"{data}/monday/9.wav: a link to nothing"


@pytest.mark.parametrize(
    "fault",
    ["empty", "control", "encoding", "long", "no text", "no recording"]
    + ["suffix", "link"],
)
def test_faults_are_named(fault, script, data):
    expected = spoiled(data, fault)
    assert expected in refused(script, data)


def test_absent_folder(script, tmp_path):
    message = refused(script, tmp_path / "data", FileNotFoundError)
    assert message.startswith(f"there is no folder {tmp_path}/data. Give")


def test_too_few_recordings_for_the_folds(script, data):
    message = refused(script, data, n_folds=20)
    assert message.startswith("there are fewer clips than the 20 folds: ")


def test_texts_in_several_folds_are_told(script, data, caplog):
    for file in data.rglob("*.txt"):
        file.write_text("the same")
    prepare(script, data)
    assert "text 'the same' is in folds 1, 2, 3" in caplog.text


# Lists


def write_table(data, text):
    table = data.parent / "clips.csv"
    table.write_text(text)
    return table


def test_manifest_of_a_list(script, data):
    rows = "path,text,speaker,split,condition\n"
    rows += 'friday/0.wav,"Hello, world",eve,train,\n'
    rows += f"{data}/friday/1.wav,two,eve,valid,\n"
    rows += "monday\\1.wav,three,tim,test,\nmonday/2.wav,four,tim,test,noisy\n"
    records, labels = prepare(script, data, table=write_table(data, rows))
    assert records["friday/0"]["text"] == "Hello, world"
    found = {(r["split"], r.get("condition")) for r in records.values()}
    assert found == {
        *(("train", None), ("valid", None)),
        *(("test", None), ("test", "noisy")),
    }
    assert "fold" not in records["friday/0"] and "," in labels


def test_clips_of_one_speaker_stay_together(script, data):
    rows = "path,text,speaker\n" + "".join(
        f"{clip}.wav,some words,{'abcd'[i // 3]}\n"
        for i, clip in enumerate(CLIPS)
    )
    records, _ = prepare(script, data, table=write_table(data, rows), n_folds=4)
    folds = {}
    for record in records.values():
        folds.setdefault(record["speaker"], set()).add(record["fold"])
    assert sorted(map(list, folds.values())) == [[1], [2], [3], [4]]


def test_phones_of_a_list(script, data):
    rows = "path,text\n" + "".join(f"{clip}.wav,on no\n" for clip in CLIPS)
    table = write_table(data, rows)
    assert "give --lexicon FILE" in refused_phones(script, data, table)
    (data / "words.txt").write_text("on o n\nno n o\n")
    options = {"units": "phones", "table": table, "lexicon": ["words.txt"]}
    records, labels = prepare(script, data, **options)
    assert labels == ["<blank>", "n", "o"]
    assert records["monday/3"]["phones"] == "o n n o"
    (data / "words.txt").write_text("on o n\n")
    message = refused(script, data, **options)
    assert f"{table}:2: no\n" in message


def refused_phones(script, data, table):
    with pytest.raises(ValueError) as caught:
        prepare(script, data, units="phones", table=table)
    return str(caught.value)


ROWS = "path,text\nmonday/1.wav,one\n"
BAD_LISTS = {
    "no column": ("path,name\n1.wav,eve\n", ":1: column 'text' is missing"),
    "twice": (
        ROWS + "monday/./1.wav,two\n",
        ":3: 'monday/1.wav' is listed in line 2",
    ),
    "outside": (ROWS + "../1.wav,one\n", ":3: path '../1.wav' leaves the data"),
    "empty": (ROWS + "monday/2.wav,\n", ":3: the transcript of monday/2 is em"),
    "split": (
        "path,text,split\nmonday/1.wav,one,train\nmonday/2.wav,two,dev\n",
        ":3: split 'dev' is none of",
    ),
    "condition": (
        "path,text,condition\nmonday/1.wav,one,Very noisy\n",
        ":2: condition 'Very noisy' is not of a to z and digits",
    ),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_bad_lists(case, script, data):
    text, expected = BAD_LISTS[case]
    message = refused(script, data, table=write_table(data, text))
    assert f"{data.parent}/clips.csv{expected}" in message


def test_absent_list(script, data):
    table = data.parent / "no.csv"
    message = refused(script, data, FileNotFoundError, table=table)
    assert message == f"--table: there is no file {os.path.abspath(table)}"


def test_listed_clip_that_is_not_there(script, data):
    table = write_table(data, ROWS + "monday/2.wav,c\nmonday/99.wav,two\n")
    message = refused(script, data, AudioError, table=table, n_folds=3)
    assert "monday/99.wav: No such" in message


def test_characters_that_no_piece_has_are_named(script, data):
    table = write_table(
        data,
        "path,text,split\nfriday/0.wav,ab,train\n"
        "friday/1.wav,ba,valid\nmonday/1.wav,za,test\n",
    )
    message = refused(
        script, data, table=table, units="sentencepiece", pieces=3
    )
    assert f"{table}:4: 'za' has what is none of the" in message
    assert "units of the training texts: 'z'" in message
