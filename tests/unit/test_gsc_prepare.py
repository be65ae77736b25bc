"""Preparing Speech Commands, on generated clips."""

import contextlib
import importlib
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_modules.data import AudioFacts
from petl_modules.data.prepare import finishing as preparation
from petl_modules.utils import AudioError, DataError
from tests.corpora import sound_of, write_gsc

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "GSC"
CLIPS = [
    "no/0a_nohash_0.wav",
    "no/0a_nohash_1.wav",
    "no/1b_nohash_0.wav",
    "yes/0a_nohash_0.wav",
    "yes/2c_nohash_12.wav",
]
VALID, TEST = [CLIPS[2]], [CLIPS[4]]


@pytest.fixture(scope="module")
def gsc():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("gsc_prepare")


def write_lists(folder, valid=VALID, test=TEST):
    """Write the two lists."""
    for name, clips in (("validation", valid), ("testing", test)):
        text = "".join(f"{clip}\n" for clip in clips)
        (folder / f"{name}_list.txt").write_text(text)


def write_clip(folder, clip, samples=1600):
    """Write a clip of so many samples."""
    path = folder / clip
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound_of(clip, samples), 16000)
    return path


@pytest.fixture
def data(tmp_path):
    """A data folder of five good clips."""
    folder = tmp_path / "speech_commands_v0.02"
    for clip in CLIPS:
        write_clip(folder, clip)
    write_lists(folder)
    return folder


def read(path):
    return json.loads(path.read_text())


def problems(error):
    """The lines of an error that name a problem each."""
    first, *lines, remedy = str(error.value).splitlines()
    assert type(error.value) is DataError and "again" in remedy
    assert first == f"Problems in Speech Commands ({len(lines)}):"
    return [line.strip() for line in lines]


def test_labels_are_the_35_words(gsc):
    assert len(set(gsc.LABELS)) == 35
    assert list(gsc.LABELS) == sorted(gsc.LABELS)
    core = "yes no up down left right on off stop go zero one two three four"
    new = "backward forward follow learn visual"
    others = "five six seven eight nine bed bird cat dog happy house marvin"
    every = f"{core} {others} sheila tree wow {new}"
    assert set(gsc.LABELS) == set(every.split())


def test_manifest(gsc, data, tmp_path):
    path, labels = gsc.prepare_gsc(data, tmp_path / "out", True)
    assert labels == gsc.LABELS
    manifest = read(path)
    assert list(manifest) == [clip[:-4] for clip in CLIPS]
    assert manifest["yes/2c_nohash_12"] == {
        "wav": "{data_root}/yes/2c_nohash_12.wav",
        "duration": 0.1,
        "digest": manifest["yes/2c_nohash_12"]["digest"],
        "label": "yes",
        "split": "test",
        "speaker": "2c",
    }
    splits = [record["split"] for record in manifest.values()]
    assert splits == ["train", "train", "valid", "train", "test"]
    assert list((tmp_path / "out").glob("*.json")) == [path]


IGNORED = [
    "_background_noise_/white_noise.wav",
    "_background_noise_/README.md",
    "README.md",
    "LICENSE",
    ".DS_Store",
    "._README.md",
    "no/.DS_Store",
    "no/._0a_nohash_0.wav",
    ".cache/x.wav",
    "__MACOSX/._x.wav",
    "papers/notes.txt",
]


def test_what_is_no_clip_is_left_alone(gsc, data, tmp_path):
    for name in IGNORED:
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b"\0")
    path, _ = gsc.prepare_gsc(data, tmp_path / "out", True)
    assert list(read(path)) == [clip[:-4] for clip in CLIPS]


def test_the_order_of_a_listing_does_not_matter(
    gsc, data, tmp_path, monkeypatch
):
    first, _ = gsc.prepare_gsc(data, tmp_path / "first", True)
    (data / "extra.wav").touch()
    write_clip(data, "unknown/0a_nohash_0.wav")
    write_lists(data, test=["no/9_nohash_9.wav"])
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    said = problems(error)
    scandir = os.scandir
    rng = np.random.default_rng(1)

    @contextlib.contextmanager
    def shuffled(folder):
        with scandir(folder) as entries:
            yield iter(rng.permutation(np.array([*entries], dtype=object)))

    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", shuffled)
            with pytest.raises(ValueError) as error:
                gsc.prepare_gsc(data, tmp_path / "out", True)
            assert problems(error) == said
    (data / "extra.wav").unlink()
    (data / "unknown" / "0a_nohash_0.wav").unlink()
    write_lists(data)
    for i in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", shuffled)
            again, _ = gsc.prepare_gsc(data, tmp_path / str(i), True)
        assert again.name == first.name
        assert again.read_bytes() == first.read_bytes()


def test_lists_in_any_order_with_blank_lines_and_windows_ends(gsc, data):
    lists = {
        "valid": ("v.txt", b"\xef\xbb\xbfno/1b_nohash_0.wav\r\n\r\n"),
        "test": ("t.txt", b"\n  yes/2c_nohash_12.wav\t\nno/0a_nohash_0.wav"),
    }
    clips = [clip[:-4] for clip in CLIPS]
    assert gsc.parse_lists(lists, clips) == (
        {
            "no/1b_nohash_0": "valid",
            "yes/2c_nohash_12": "test",
            "no/0a_nohash_0": "test",
        },
        [],
    )


CHANGES = {
    "a clip's content": lambda data: write_clip(data, CLIPS[0], 800),
    "a clip's time": lambda data: os.utime(data / CLIPS[0], ns=(1, 1)),
    "a clip more": lambda data: write_clip(data, "no/3d_nohash_0.wav"),
    "a list": lambda data: write_lists(data, test=[*TEST, CLIPS[0]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_makes_a_new_manifest(change, gsc, data, tmp_path):
    old, _ = gsc.prepare_gsc(data, tmp_path / "out", True)
    CHANGES[change](data)
    new, _ = gsc.prepare_gsc(data, tmp_path / "out", True)
    assert new != old


def test_audio_is_not_read_again(gsc, data, tmp_path, monkeypatch):
    first, _ = gsc.prepare_gsc(data, tmp_path / "out", True)
    monkeypatch.setattr(preparation, "check_audio", None)
    again, _ = gsc.prepare_gsc(data, tmp_path / "out", True)
    assert again == first


V, T = "validation_list.txt", "testing_list.txt"
BAD_LISTS = {
    "no such clip": (
        [CLIPS[2], "no/9f_nohash_0.wav"],
        TEST,
        f"{V}:2: there is no 'no/9f_nohash_0.wav'",
    ),
    "no folder of the word": (
        VALID,
        ["up/0a_nohash_0.wav"],
        f"{T}:1: there is no 'up/0a_nohash_0.wav'",
    ),
    "twice": (
        VALID,
        [CLIPS[4], "", CLIPS[4]],
        f"{T}:3: 'yes/2c_nohash_12.wav' is listed at {{data}}/{T}:1 too",
    ),
    "in both": (
        VALID,
        [CLIPS[4], CLIPS[2]],
        f"{T}:2: 'no/1b_nohash_0.wav' is listed at {{data}}/{V}:1 too",
    ),
    "no word": (
        ["maybe/0a_nohash_0.wav"],
        TEST,
        f"{V}:1: 'maybe' in 'maybe/0a_nohash_0.wav' is none of the 35 words",
    ),
    "below the word": (
        ["data/no/0a_nohash_0.wav"],
        TEST,
        f"{V}:1: 'data/no/0a_nohash_0.wav' is not <word>/<speaker>",
    ),
    "leaves": (
        ["../no/0a_nohash_0.wav"],
        TEST,
        f"{V}:1: '../no/0a_nohash_0.wav' is not <word>/<speaker>",
    ),
    "capitals": (
        VALID,
        ["Yes/2c_nohash_12.wav"],
        f"{T}:1: 'Yes' in 'Yes/2c_nohash_12.wav' is none",
    ),
    "no file": (VALID, ["yes"], f"{T}:1: 'yes' is not <word>/<speaker>_nohash"),
    "noise": (
        VALID,
        ["_background_noise_/white_noise.wav"],
        f"{T}:1: '_background_noise_/white_noise.wav' is not <word>/<speaker>",
    ),
    "two a line": (
        VALID,
        [f"{CLIPS[3]} {CLIPS[4]}"],
        f"{T}:1: '{CLIPS[3]} {CLIPS[4]}' is not <word>/<speaker>",
    ),
    "empty": ([], TEST, f"{V}:1: no clips are listed"),
    "blank": (VALID, ["", " "], f"{T}:1: no clips are listed"),
    "binary": (VALID, ["\0\x1f"], f"{T}:1: '\\x00\\x1f' is not <word>/"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_bad_list(case, gsc, data, tmp_path):
    valid, test, expected = BAD_LISTS[case]
    write_lists(data, valid, test)
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    expected = f"{data}/{expected.replace('{data}', str(data))}"
    assert any(line.startswith(expected) for line in problems(error))
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_list_in_another_encoding(gsc, data, tmp_path):
    (data / T).write_bytes(b"yes/2c_nohash_12.wav\ncaf\xe9\n")
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    [line] = problems(error)
    assert line.startswith(f"{data / T}:2: byte 0xe9 is not UTF-8")


def test_lists_in_utf_16(gsc, data, tmp_path):
    expected, _ = gsc.prepare_gsc(data, tmp_path / "one", True)
    for name in (T, V):
        text = (data / name).read_text()
        (data / name).write_bytes(text.encode("utf-16"))
    found, _ = gsc.prepare_gsc(data, tmp_path / "other", True)
    assert found.read_text() == expected.read_text()


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._0a_nohash_0.wav"]
)
def test_files_of_the_system_are_passed_over(name, gsc, data, tmp_path):
    expected, _ = gsc.prepare_gsc(data, tmp_path / "one", True)
    (data / "no" / name).write_bytes(b"x")
    found, _ = gsc.prepare_gsc(data, tmp_path / "other", True)
    assert found.read_text() == expected.read_text()


STRANGE = {
    "word outside the set": (
        "maybe/0a_nohash_0.wav",
        ": folder 'maybe' has wav files and is none of the 35 words",
    ),
    "class of the other task": ("_silence_/0.WAV", ": folder '_silence_' has"),
    "name of another pattern": (
        "no/hello.wav",
        "/no: 'hello.wav' is not <speaker>_nohash_<n>.wav",
    ),
    "no speaker": ("no/_nohash_0.wav", "/no: '_nohash_0.wav' is not <speaker>"),
    "no number": ("no/0a_nohash_.wav", "/no: '0a_nohash_.wav' is not"),
    "other format": ("no/0a_nohash_7.flac", "/no: '0a_nohash_7.flac' is not"),
    "capitals": ("no/0a_nohash_7.WAV", "/no: '0a_nohash_7.WAV' is not"),
    "copy": ("no/0a_nohash_0 (1).wav", "/no: '0a_nohash_0 (1).wav' is not"),
    "line end": ("no/0a_nohash_0.wav\n", "/no: '0a_nohash_0.wav\\n' is not"),
    "folder in a word": ("no/old/0a_nohash_7.wav", "/no: 'old' is not"),
    "clip in no folder": (
        "0a_nohash_0.wav",
        ": '0a_nohash_0.wav' is in no word's folder",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_file(case, gsc, data, tmp_path):
    name, expected = STRANGE[case]
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / name).touch()
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    [line] = problems(error)
    assert line.startswith(f"{data}{expected}")
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_all_problems_together(gsc, data, tmp_path):
    (data / "no" / "a.wav").touch()
    (data / "maybe").mkdir()
    (data / "maybe" / "a.wav").touch()
    write_lists(data, ["no/a.wav", CLIPS[2], CLIPS[2]], ["no/1_nohash_1.wav"])
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    places = [line.split(": ")[0] for line in problems(error)]
    found = ["", "/no", f"/{V}:1", f"/{V}:3", f"/{T}:1"]
    assert places == [f"{data}{place}" for place in found]
    assert not any((tmp_path / "out").glob("[!.]*"))


LINES = st.one_of(
    st.sampled_from(CLIPS),
    st.sampled_from(["no/9_nohash_9.wav", "x/0a_nohash_0.wav", "no/x.wav"]),
    st.sampled_from(["", " ", "../a", "\0", "\ufeff", "\u2028", "a\rb"]),
    st.text(max_size=8).filter(lambda text: "\n" not in text),
)


@settings(max_examples=300, deadline=None)
@given(valid=st.lists(LINES, max_size=5), test=st.lists(LINES, max_size=5))
def test_no_line_is_lost(gsc, valid, test):
    lists = {
        "valid": ("v.txt", "\n".join(valid).encode()),
        "test": ("t.txt", "\n".join(test).encode()),
    }
    splits, found = gsc.parse_lists(lists, {clip[:-4] for clip in CLIPS})
    named = {problem.split(": ")[0] for problem in found}
    taken = []
    for split, (name, content) in lists.items():
        lines = content.decode("utf-8-sig").split("\n")
        for number, line in enumerate(lines, start=1):
            wav = line.strip(" \t\r")
            if wav and f"{name}:{number}" not in named:
                taken.append((wav.removesuffix(".wav"), split))
    assert taken == list(splits.items())


@settings(max_examples=300, deadline=None)
@given(valid=st.binary(max_size=60), test=st.binary(max_size=60))
def test_any_content_gives_splits_or_named_problems(gsc, valid, test):
    lists = {"valid": ("v.txt", valid), "test": ("t.txt", test)}
    splits, found = gsc.parse_lists(lists, {clip[:-4] for clip in CLIPS})
    for name, content in lists.values():
        assert any(text.startswith(f"{name}:") for text in found) or any(
            clip.encode() in content for clip in splits
        )


def test_all_bad_audio_together(gsc, data, tmp_path):
    (data / CLIPS[0]).write_bytes(b"")
    clip = data / CLIPS[4]
    clip.write_bytes(clip.read_bytes()[:-10])
    with pytest.raises(AudioError) as error:
        gsc.prepare_gsc(data, tmp_path / "out", True)
    assert "2 of 5" in str(error.value)
    assert f"{data / CLIPS[0]}: empty" in str(error.value)
    assert f"{clip}: truncated, 10 bytes" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_a_speaker_in_two_splits_is_told(gsc, data, tmp_path, caplog):
    gsc.prepare_gsc(data, tmp_path / "out", True)
    assert "several splits" not in caplog.text
    write_lists(data, valid=[*VALID, CLIPS[0]])
    gsc.prepare_gsc(data, tmp_path / "out", True)
    assert "speaker '0a' is in splits train, valid" in caplog.text


def check_parts(folder, records):
    """The splits share no speaker and hold all clips, as the lists say."""
    parts = {}
    for clip, record in records.items():
        parts.setdefault(record["split"], {})[clip] = record
    speakers = [
        {record["speaker"] for record in part.values()}
        for part in parts.values()
    ]
    assert sum(map(len, speakers)) == len(set().union(*speakers))
    for split, name in (("valid", V), ("test", T)):
        listed = (folder / name).read_text().split()
        assert sorted(f"{clip}.wav" for clip in parts[split]) == sorted(listed)
    found = {
        path.relative_to(folder).as_posix()[:-4]
        for path in folder.glob("*/[0-9a-f]*_nohash_*.wav")
    }
    assert records.keys() == found


def test_generated_corpus(gsc, tmp_path, caplog, capsys):
    folder = write_gsc(tmp_path / "speech_commands_v0.02")
    path, _ = gsc.prepare_gsc(folder, tmp_path / "out", True)
    check_parts(folder, read(path))
    assert "several splits" not in caplog.text
    assert capsys.readouterr().out == (
        "A part of Speech Commands: 30 clips; 3 words; "
        "splits test: 6, train: 18, valid: 6\n"
    )


def test_generated_corpus_is_always_the_same(tmp_path):
    folders = [write_gsc(tmp_path / name) for name in "ab"]
    one, other = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    )
    assert one == other


def test_partial_must_be_asked_for(gsc, data, tmp_path):
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(data, tmp_path / "out")
    text = str(error.value)
    assert "Found: 5 clips; 2 words; splits test: 1, train: 3, valid" in text
    assert "Expected: 105829 clips; 35 words; splits test: 11005," in text
    assert "--allow_partial True" in text
    assert not any((tmp_path / "out").glob("[!.]*"))


def full_clips(gsc):
    """Clips with the dataset's counts, and the two lists of them."""
    sizes = {"train": 84843, "valid": 9981, "test": 11005}
    clips, lists = {}, {"valid": [], "test": []}
    for speaker, (split, size) in enumerate(sizes.items()):
        for i in range(size):
            word = gsc.LABELS[i % 35]
            clip = f"{word}/{speaker}_nohash_{i}"
            clips[clip] = {
                "wav": f"{clip}.wav",
                "label": word,
                "speaker": str(speaker),
            }
            if split != "train":
                lists[split].append(f"{clip}.wav")
    return clips, lists


def test_full_counts(gsc, tmp_path, monkeypatch):
    clips, lists = full_clips(gsc)
    monkeypatch.setattr(
        preparation,
        "check_audio",
        lambda paths, *_: [AudioFacts(1.0, "0" * 32)] * len(paths),
    )
    monkeypatch.setattr(gsc, "find_clips", lambda _: (clips, []))
    write_lists(tmp_path, **lists)
    path, _ = gsc.prepare_gsc(tmp_path, tmp_path / "out")
    manifest = read(path)
    assert len(manifest) == 105829
    assert Counter(record["split"] for record in manifest.values()) == {
        "train": 84843,
        "valid": 9981,
        "test": 11005,
    }
    write_lists(tmp_path, lists["valid"][1:], lists["test"])
    with pytest.raises(ValueError) as error:
        gsc.prepare_gsc(tmp_path, tmp_path / "out")
    assert "splits train: 84844, valid: 9980" in str(error.value)


@pytest.mark.parametrize(
    "there", ["nothing", "empty folder", "file", "one list"]
)
def test_absent_dataset(there, gsc, tmp_path):
    folder = tmp_path / "data"
    if there in ("empty folder", "one list"):
        folder.mkdir()
    if there == "file":
        folder.write_text("")
    if there == "one list":
        (folder / V).write_text("")
    with pytest.raises(FileNotFoundError) as error:
        gsc.prepare_gsc(folder, tmp_path / "out")
    absent = f"{folder / V} and {folder / T} were not found."
    if there == "one list":
        absent = f"{folder / T} was not found."
    assert str(error.value).startswith(absent)
    for part in (
        "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        "CC BY 4.0",
        "2.3 GB",
        "mkdir speech_commands_v0.02",
        "<word>/<speaker>_nohash_<n>.wav",
        "--data_folder DIR",
        "petl_modules.miniatures",
    ):
        assert part in str(error.value)


def test_list_that_is_a_folder(gsc, data, tmp_path):
    (data / V).unlink()
    (data / V).mkdir()
    with pytest.raises(ValueError, match="is a folder, not a file"):
        gsc.prepare_gsc(data, tmp_path / "out", True)


def test_folder_that_may_not_be_read(gsc, data, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="v0.02: Permission denied"):
        gsc.prepare_gsc(data, tmp_path / "out", True)


def test_manifest_folder_that_cannot_be_written(gsc, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        gsc.prepare_gsc(data, tmp_path / "file" / "out", True)
