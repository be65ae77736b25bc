"""Preparing speakers of one's own, on generated clips."""

import doctest
import importlib
import json
import os
from pathlib import Path

import pytest
import soundfile

from petl_modules.data import HeldOutSpeakers
from petl_modules.utils import AudioError, DataError
from petl_modules.verification import draw_trials
from tests.corpora import sound_of

TEMPLATE = Path(__file__).resolve().parents[2] / "templates"
CLIPS = [
    f"{speaker}/{place}.wav"
    for speaker in ("ann", "bob", "eve", "kim", "tim", "zoe")
    for place in ("1", "monday/1", "monday/2", "friday/1")
]


@pytest.fixture(scope="module")
def script():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TEMPLATE / "speaker_verification"))
        yield importlib.import_module("speaker_prepare")


def make(folder, names):
    """Write a short clip for each name, or an empty file, or a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        elif path.suffix in (".wav", ".flac"):
            soundfile.write(path, sound_of(name), 16000)
        else:
            path.touch()
    return folder


@pytest.fixture
def data(tmp_path):
    return make(tmp_path / "speakers", CLIPS)


def prepare(script, data, **options):
    """The records of the manifest, and the speakers."""
    path, speakers = script.prepare_speaker(
        data, data.parent / "out", **options
    )
    return json.loads(path.read_text()), speakers


def refused(script, data, error=DataError, **options):
    with pytest.raises(error) as caught:
        prepare(script, data, **options)
    assert type(caught.value) is error
    assert not any((data.parent / "out").glob("[!.]*"))
    return str(caught.value)


def test_example(script):
    assert doctest.testmod(script) == (0, 3)


def test_manifest_of_folders(script, data, capsys):
    manifest, speakers = prepare(script, data)
    assert speakers == ["ann", "bob", "eve", "kim", "tim", "zoe"]
    assert [*manifest] == sorted(name[:-4] for name in CLIPS)
    assert manifest["eve/monday/2"] == {
        "wav": "{data_root}/eve/monday/2.wav",
        "duration": 0.1,
        "digest": manifest["eve/monday/2"]["digest"],
        "speaker": "eve",
        "recording": "eve/monday",
    }
    assert "recording" not in manifest["eve/1"]
    assert capsys.readouterr().out == "24 clips of 6 speakers\n"


def test_parts_are_drawn(script, data):
    manifest, _ = prepare(script, data)
    folds, _ = HeldOutSpeakers(2, 1, test_speakers=2)(manifest)
    assert [len(part) for part in folds[1].values()] == [8, 8, 8]
    assert len(draw_trials(folds[1]["test"], 1)) == 16


def test_trials_give_the_test_part(script, data, capsys):
    (data / "trials.txt").write_text(
        "1 eve/1 eve/monday/1\n0 eve/1 tim/1.wav\n"
    )
    manifest, speakers = prepare(script, data, trials="trials.txt")
    assert speakers == ["ann", "bob", "kim", "zoe"]
    tested = {r["speaker"] for r in manifest.values() if r["split"] == "test"}
    assert tested == {"eve", "tim"}
    folds, _ = HeldOutSpeakers(2, 1)(manifest)
    assert [len(part) for part in folds[1].values()] == [8, 8, 8]
    assert "2 trials of 2 speakers in " in capsys.readouterr().out
    (data / "trials.txt").write_text("1 eve/1 tim/1\n0 eve/1 kim/1\n")
    with pytest.raises(DataError, match="trials.txt:1: label 1, but 'eve/1'"):
        prepare(script, data, trials="trials.txt")
    with pytest.raises(FileNotFoundError, match="no list other.txt"):
        prepare(script, data, trials="other.txt")


def test_recordings_that_are_not_known_are_told(script, tmp_path, capsys):
    data = make(tmp_path / "data", ["a/1.wav", "a/2.wav", "b/1.wav"])
    prepare(script, data)
    assert "no recordings are given: trials may" in capsys.readouterr().out


def test_other_files_are_counted(script, data, capsys):
    make(data, ["eve/notes.txt", "README", ".git/x.wav", "eve/._1.wav"])
    assert len(script.find_clips(data)) == len(CLIPS)
    assert capsys.readouterr().out == "2 files skipped, not audio\n"


BAD_FOLDERS = {
    "nothing": ([], "  no sounds"),
    "a clip in no folder": (
        [*CLIPS, "b.wav"],
        "{data}/b.wav: outside the folders of speakers",
    ),
    "no sounds": ([*CLIPS, "max/", "lea/1.m4a"], "{data}/lea: no sounds;"),
    "two suffixes": (
        [*CLIPS, "eve/1.flac"],
        "{data}/eve/1.wav: differs from eve/1.flac in its suffix only",
    ),
    "line end": (
        [*CLIPS, "eve/a\nb.wav"],
        "{data}/eve/a\nb.wav: give it a name in UTF-8",
    ),
    "parts": (
        ["train/eve/1.wav", "test/tim/1.wav"],
        "test, train: parts, not speakers",
    ),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders(case, script, tmp_path):
    names, expected = BAD_FOLDERS[case]
    data = tmp_path / "data"
    data.mkdir()
    message = refused(script, make(data, names))
    assert expected.format(data=data) in message and "--table FILE" in message


def test_link_to_nothing(script, data):
    (data / "max").symlink_to("gone")
    assert f"{data}/max: a link to nothing" in refused(script, data)


def test_one_speaker(script, tmp_path):
    data = make(tmp_path / "data", ["eve/1.wav", "eve/tim/1.wav"])
    assert "only one speaker was found: eve. Give" in refused(script, data)


def test_speakers_that_look_alike(script, data):
    make(data, ["Eve/9.wav"])
    assert "some speakers look alike:\n  'Eve'" in refused(script, data)


def test_same_sound_of_two_speakers(script, data):
    samples, rate = soundfile.read(data / "eve/1.wav")
    soundfile.write(data / "tim/1.wav", samples, rate)
    with pytest.raises(DataError, match=r"eve/1 \(eve\) = tim/1 \(tim\)"):
        prepare(script, data)


def test_absent_folder(script, tmp_path):
    message = refused(script, tmp_path / "data", FileNotFoundError)
    assert message.startswith(f"there is no folder {tmp_path}/data. Give")


# Lists


def write_table(data, text):
    table = data.parent / "clips.csv"
    table.write_text(text)
    return table


def test_manifest_of_a_list(script, data):
    rows = "path,speaker,recording\n"
    rows += "eve/1.wav,Eva,a\n" + f"{data}/eve/monday/1.wav,Eva,\n"
    rows += "tim\\1.wav,Tim,b\n"
    manifest, speakers = prepare(script, data, table=write_table(data, rows))
    assert speakers == ["Eva", "Tim"]
    assert [*manifest] == ["eve/1", "eve/monday/1", "tim/1"]
    assert manifest["eve/1"]["recording"] == "a"
    assert "recording" not in manifest["eve/monday/1"]
    assert manifest["tim/1"]["wav"] == "{data_root}/tim/1.wav"


ROWS = "path,speaker\neve/1.wav,eve\n"
BAD_LISTS = {
    "no column": ("path,name\n1.wav,eve\n", ":1: column 'speaker' is missing"),
    "twice": (
        ROWS + "eve/./1.wav,eve\n",
        ":3: 'eve/1.wav' is listed in line 2",
    ),
    "suffix": (ROWS + "eve/1.flac,eve\n", ":3: 'eve/1.flac' is listed in line"),
    "outside": (ROWS + "../1.wav,eve\n", ":3: path '../1.wav' leaves the data"),
    "no speaker": (ROWS + "eve/2.wav,\n", ":3: speaker '' is no name"),
    "no rows": ("path,speaker\n", ":1: no clips are listed"),
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
    table = write_table(data, ROWS + "tim/9.wav,tim\n")
    assert "tim/9.wav: No such" in refused(
        script, data, AudioError, table=table
    )
