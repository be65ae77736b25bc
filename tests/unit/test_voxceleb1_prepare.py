"""Preparing VoxCeleb1, on generated clips."""

import importlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from petl_modules.data import HeldOutSpeakers
from petl_modules.utils import AudioError, DataError, HparamsError
from petl_modules.verification import find_trials, read_trials
from tests.corpora import VOXCELEB1_SPEAKERS, sound_of, write_voxceleb1

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "VoxCeleb1"
CLIP = "id10001/001-_videoAx/00001"


@pytest.fixture(scope="module")
def vox():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("voxceleb1_prepare")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxceleb1(tmp_path_factory.mktemp("corpus") / "VoxCeleb1")


@pytest.fixture
def data(corpus, tmp_path):
    """A copy of the corpus."""
    return Path(shutil.copytree(corpus, tmp_path / "VoxCeleb1"))


def prepare(vox, data, **options):
    """The records of the manifest, and the speakers."""
    options = {"allow_partial": True, **options}
    path, speakers = vox.prepare_voxceleb1(data, data.parent / "out", **options)
    return json.loads(path.read_text()), speakers


def refused(vox, data, error=DataError, **options):
    with pytest.raises(error) as caught:
        prepare(vox, data, **options)
    assert type(caught.value) is error
    assert not any((data.parent / "out").glob("[!.]*"))
    return str(caught.value)


def test_speakers_are_the_published_ones(vox):
    assert len(set(vox.LABELS)) == 1251
    assert (vox.LABELS[0], vox.LABELS[-1]) == ("id10001", "id11251")
    assert vox.TEST == tuple(f"id{n}" for n in range(10270, 10310))
    assert Counter(vox.PART_OF.values()) == {"train": 1211, "test": 40}
    assert sum(vox.CLIPS["verification"].values()) == 153516
    assert sum(vox.CLIPS["identification"].values()) == 153516


def test_manifest(vox, data, capsys):
    manifest, speakers = prepare(vox, data)
    assert speakers == tuple(VOXCELEB1_SPEAKERS["train"])
    assert len(manifest) == 54
    assert manifest[CLIP] == {
        "wav": f"{{data_root}}/vox1_dev_wav/wav/{CLIP}.wav",
        "duration": 1.0,
        "digest": manifest[CLIP]["digest"],
        "speaker": "id10001",
        "recording": "001-_videoAx",
        "split": "train",
    }
    tested = {r["speaker"] for r in manifest.values() if r["split"] == "test"}
    assert tested == {*VOXCELEB1_SPEAKERS["test"]}
    out = capsys.readouterr().out
    assert f"18 trials in {data}/veri_test2.txt (no known list, MD5 " in out
    assert "clips test: 18, train: 36; speakers test: 3, train: 6" in out


def test_manifest_gives_parts_and_trials(vox, data):
    manifest, _ = prepare(vox, data)
    parts = HeldOutSpeakers(2, 1)(manifest)[0][1]
    trained = {record["speaker"] for record in parts["train"].values()}
    file = find_trials(data, "veri_test2.txt")
    trials = read_trials(file, parts["test"].get, trained)
    assert len(trials) == 18 and trials.same.sum() == 9
    with pytest.raises(DataError, match="seems to be a list for another"):
        read_trials(file, parts["train"].get)


def joined(data):
    """Both archives in one folder, the list in meta."""
    for part in ("dev", "test"):
        shutil.copytree(
            data / f"vox1_{part}_wav" / "wav", data / "wav", dirs_exist_ok=True
        )
        shutil.rmtree(data / f"vox1_{part}_wav")
    (data / "veri_test2.txt").rename(data / "meta" / "veri_test2.txt")


def flat(data):
    """The folders of the archives without their inner folder."""
    for part in ("dev", "test"):
        (data / f"vox1_{part}_wav" / "wav").rename(data / part)
        shutil.rmtree(data / f"vox1_{part}_wav")
        (data / part).rename(data / f"vox1_{part}_wav")


def linked(data):
    """The folders are links to another disk."""
    for part in ("dev", "test"):
        (data / f"vox1_{part}_wav").rename(data.parent / part)
        (data / f"vox1_{part}_wav").symlink_to(data.parent / part)


@pytest.mark.parametrize("change", [joined, flat, linked])
def test_layouts(change, vox, corpus, data):
    change(data)
    expected, found = vox.find_clips(corpus), vox.find_clips(data)
    assert found.keys() == expected.keys()
    for clip, record in found.items():
        assert (data / record["wav"]).is_file()
        assert {**record, "wav": 0} == {**expected[clip], "wav": 0}
    prepare(vox, data)


def test_other_files_are_counted(vox, data, capsys):
    folder = data / "vox1_dev_wav" / "wav" / "id10001"
    (folder / "notes.txt").touch()
    (folder / "001-_videoAx" / "00001.m4a").touch()
    (folder / "001-_videoAx" / "Thumbs.db").touch()
    assert len(vox.find_clips(data)) == 54
    assert capsys.readouterr().out == "2 files skipped, not .wav\n"


def move(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


DEV, TEST = "vox1_dev_wav/wav", "vox1_test_wav/wav"
STRANGE = {
    "a test speaker in the dev part": (
        lambda data: move(data / TEST / "id10270", data / DEV / "id10270"),
        f"{DEV}/id10270: a speaker of the other part; the test part is id10270",
    ),
    "a dev speaker in the test part": (
        lambda data: move(data / DEV / "id11251", data / TEST / "id11251"),
        f"{TEST}/id11251: a speaker of the other part",
    ),
    "VoxCeleb2": (
        lambda data: move(data / DEV / "id10002", data / DEV / "id00012"),
        f"{DEV}/id00012: no speaker of VoxCeleb1, id10001 to id11251",
    ),
    "a clip without a video": (
        lambda data: move(
            data / DEV / f"{CLIP}.wav", data / DEV / "id10001/1.wav"
        ),
        f"{DEV}/id10001/1.wav: a clip that is not in <speaker>/<video>/",
    ),
    "a clip without a speaker": (
        lambda data: move(data / DEV / f"{CLIP}.wav", data / DEV / "1.wav"),
        f"{DEV}/1.wav: a clip that is not in <speaker>/<video>/",
    ),
    "two suffixes": (
        lambda data: shutil.copy(
            data / DEV / f"{CLIP}.wav", data / DEV / f"{CLIP}.WAV"
        ),
        f"{DEV}/{CLIP}.wav: the same clip as {DEV}/{CLIP}.WAV",
    ),
    "two layouts": (
        lambda data: shutil.copytree(data / DEV, data / "wav"),
        f"{DEV}/{CLIP}.wav: the same clip as wav/{CLIP}.wav",
    ),
    "a folder that is a link to nothing": (
        lambda data: (data / DEV / "id10009").symlink_to("gone"),
        f"{DEV}/id10009: a link to nothing",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_folders(case, vox, data):
    change, expected = STRANGE[case]
    change(data)
    message = refused(vox, data)
    assert f"  {data}/{expected}" in message and "is published (" in message


def test_clip_that_is_a_link_to_nothing(vox, data):
    (data / DEV / f"{CLIP}.wav").unlink()
    (data / DEV / f"{CLIP}.wav").symlink_to("gone.wav")
    assert f"{CLIP}.wav: No such file" in refused(vox, data, AudioError)


def test_absent(vox, tmp_path):
    message = refused(vox, tmp_path / "data", FileNotFoundError)
    assert message.startswith(f"{tmp_path}/data holds no clips of VoxCeleb1.")
    assert "python -m petl_modules.miniatures VoxCeleb1 DIR" in message


def test_whole_dataset_is_expected(vox, data):
    message = refused(vox, data, allow_partial=False)
    assert "Found: clips test: 18, train: 36; speakers test: 3" in message
    assert "Expected: clips test: 4874, train: 148642; speakers te" in message


def test_protocol_that_is_none(vox, data):
    message = refused(vox, data, HparamsError, protocol="diarization")
    assert "'diarization' is none of: verification, identification" in message


# Trials


def test_absent_list(vox, data):
    (data / "veri_test2.txt").rename(data / "veri_test.txt")
    message = refused(vox, data, FileNotFoundError)
    assert "no list veri_test2.txt" in message
    assert "lists there: iden_split.txt, veri_test.txt" in message
    assert len(prepare(vox, data, trials="veri_test.txt")[0]) == 54


def test_no_list_is_wanted(vox, data):
    (data / "veri_test2.txt").unlink()
    assert len(prepare(vox, data, trials=None)[0]) == 54


def test_leaked_speakers_are_refused(vox, tmp_path):
    data = write_voxceleb1(tmp_path / "VoxCeleb1", leaked=True)
    message = refused(vox, data)
    assert (
        "2 of 20 trials are of 2 speakers that the model is trained on, "
        in (message)
    )


def test_trials_of_clips_that_are_not_there(vox, data):
    (data / TEST / "id10270/270-_videoAx/00001.wav").unlink()
    message = refused(vox, data)
    assert "veri_test2.txt:1: 'id10270/270-_videoAx/00001.wav' is no cl" in (
        message
    )


# The same sound


def test_sound_of_two_speakers(vox, data, caplog):
    shutil.copy(
        data / DEV / f"{CLIP}.wav",
        data / TEST / "id10270/270-_videoAx/00001.wav",
    )
    with pytest.raises(DataError, match="1 sounds have several speakers"):
        prepare(vox, data)


# Identification


def test_identification(vox, data, capsys):
    manifest, speakers = prepare(vox, data, protocol="identification")
    assert "; 9 speakers\n" in capsys.readouterr().out
    assert speakers == vox.LABELS
    assert manifest[CLIP]["label"] == manifest[CLIP]["speaker"] == "id10001"
    counts = Counter(r["split"] for r in manifest.values())
    assert counts == {"train": 36, "valid": 9, "test": 9}


LISTS = {
    "another part": ("4 a/b/1.wav\n", ":1: '4 a/b/1.wav' is not '1, 2 or 3 p"),
    "no path": ("1\n", ":1: '1' is not '1, 2 or 3 path'"),
    "unknown": ("\n1 a/b/1.wav\n", ":2: 'a/b/1' is no clip of the data"),
    "twice": (f"1 {CLIP}.wav\n2 {CLIP}.wav", f":2: '{CLIP}' is in line 1 alr"),
    "missing": (f"1 {CLIP}.wav\n", ":1: 53 clips are missing, such as id1000"),
    "not text": (b"1 \xff", ":1: byte 0xff is not UTF-8"),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_list_of_identification(case, vox, data):
    text, expected = LISTS[case]
    file = data / "meta" / "iden_split.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refused(vox, data, protocol="identification")
    assert f"{file}{expected}" in message


def test_list_of_identification_with_other_line_ends(vox, data):
    file = data / "meta" / "iden_split.txt"
    file.write_text(file.read_text().replace("\n", "\r\n"))
    assert len(prepare(vox, data, protocol="identification")[0]) == 54


def test_bad_audio(vox, data):
    path = data / DEV / f"{CLIP}.wav"
    path.write_bytes(b"no sound")
    assert f"{CLIP}.wav" in refused(vox, data, AudioError)
    assert len(prepare(vox, data, skip_bad_audio=True)[0]) == 53
    soundfile.write(path, sound_of(CLIP), 16000)
    assert len(prepare(vox, data)[0]) == 54
