"""Preparing sounds of one's own, on generated clips."""

import csv
import doctest
import importlib
import io
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_modules.data import AsListed
from petl_modules.data.prepare import finishing as preparation
from petl_modules.data.prepare import make_folds
from petl_modules.runs import plan_folds
from petl_modules.utils import AudioError, DataError
from tests.corpora import sound_of

RECIPE = Path(__file__).resolve().parents[2] / "templates"
RECIPE = RECIPE / "audio_classification"
CLASSES = [f"{label}/{i}.wav" for label in ("dog", "rain") for i in range(3)]
SPLITS = [
    f"{split}/{label}/{split}.wav"
    for split in ("train", "valid", "test")
    for label in ("dog", "rain")
]


@pytest.fixture(scope="module")
def audio():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("audio_prepare")


def make(folder, names):
    """Write a short clip for each name, or an empty file, or a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        elif path.suffix.lower() in (".wav", ".flac"):
            with open(path, "wb") as stream:  # soundfile wants UTF-8 names
                kind = path.suffix[1:].upper()
                soundfile.write(stream, sound_of(name), 16000, format=kind)
        else:
            path.touch()
    return folder


@pytest.fixture
def data(tmp_path):
    """A folder with three clips in each of two classes."""
    return make(tmp_path / "my_sounds", CLASSES)


def read(path):
    return json.loads(path.read_text())


def labels_of(records):
    return {name: record["label"] for name, record in records.items()}


def test_example(audio):
    assert doctest.testmod(audio) == (0, 3)


# Folders


def test_manifest(audio, data, tmp_path):
    path, labels = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    assert labels == ["dog", "rain"]
    manifest = read(path)
    assert list(manifest) == CLASSES
    assert manifest["rain/1.wav"] == {
        "wav": "{data_root}/rain/1.wav",
        "duration": 0.1,
        "digest": manifest["rain/1.wav"]["digest"],
        "label": "rain",
        "fold": manifest["rain/1.wav"]["fold"],
    }
    assert list((tmp_path / "out").glob("*.json")) == [path]


def test_what_is_done_is_told(audio, data, tmp_path, capsys):
    audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    assert capsys.readouterr().out == (
        "6 clips; 2 classes (dog: 3, rain: 3)\n"
        "3 folds, made by chance (1: 2, 2: 2, 3: 2)\n"
    )


def test_many_classes_are_told_by_their_extremes(audio, tmp_path, capsys):
    names = [f"{c:02}/{i}.wav" for c in range(21) for i in range(3 + c % 2)]
    make(tmp_path / "data", names)
    audio.prepare_audio(tmp_path / "data", tmp_path / "out", n_folds=3)
    assert "73 clips; 21 classes (3 to 4 each)\n3" in capsys.readouterr().out


def test_what_belongs_to_a_class(audio, data, capsys):
    more = ["dog/Kennel 2/bark.WAV", "dog/a/b/c.flac", "rain/Гроза, 雨.wav"]
    more += ["rain/no-break\xa0space.wav", 'rain/"quoted".wav']
    others = ["rain/notes.txt", "rain/more.txt", "README", "dog/a/b/c.m4a"]
    hidden = ["dog/._0.wav", "dog/.DS_Store", ".git/x.wav", "__MACOSX/x.wav"]
    hidden += ["dog/Thumbs.db", "rain/desktop.ini", "dog/Icon\r"]
    hidden += [
        "$RECYCLE.BIN/x.wav",
        "System Volume Information/x",
        "rain/THUMBS.DB",
    ]
    make(data, more + others + hidden)
    found = labels_of(audio.find_clips(data))
    assert found == {n: n.split("/")[0] for n in CLASSES + more}
    assert capsys.readouterr().out == (
        "4 files skipped, not audio; 3 suffixes (.txt: 2, none: 1, .m4a: 1)\n"
    )


def test_links_are_followed(audio, data, tmp_path):
    make(tmp_path / "elsewhere", ["snow/0.wav", "more/3.wav"])
    (data / "snow").symlink_to(tmp_path / "elsewhere" / "snow")
    (data / "dog" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (data / "rain" / "3.wav").symlink_to(data / "rain" / "2.wav")
    found = labels_of(audio.find_clips(data))
    more = ["snow/0.wav", "dog/more/3.wav", "rain/3.wav"]
    assert found == {n: n.split("/")[0] for n in CLASSES + more}


def test_links_back_up_are_no_loop(audio, data):
    (data / "dog" / "all").symlink_to(data)
    (data / "dog" / "inner").mkdir()
    (data / "dog" / "inner" / "dogs").symlink_to(data / "dog")
    assert list(audio.find_clips(data)) == CLASSES


def test_link_of_a_clip_to_nothing(audio, data, tmp_path):
    (data / "dog" / "3.wav").symlink_to("gone.wav")
    with pytest.raises(AudioError, match="dog/3.wav: No such file"):
        audio.prepare_audio(data, tmp_path / "out", n_folds=3)


@pytest.mark.parametrize("name", ["snow", "dog/session2"])
def test_link_of_a_folder_to_nothing(name, audio, data):
    (data / name).symlink_to("gone")
    with pytest.raises(ValueError, match=f"{name}: a link to nothing"):
        audio.find_clips(data)


@pytest.mark.parametrize("parts", [SPLITS, SPLITS[:2] + SPLITS[4:]])
def test_folders_of_splits(parts, audio, tmp_path, capsys):
    make(tmp_path / "data", parts + ["train/dog/old/1.WAV"])
    path, labels = audio.prepare_audio(tmp_path / "data", tmp_path / "out")
    assert labels == ["dog", "rain"]
    found = {n: (r["label"], r["split"]) for n, r in read(path).items()}
    expected = {n: tuple(n.split("/")[1::-1]) for n in parts}
    assert found == {**expected, "train/dog/old/1.WAV": ("dog", "train")}
    assert not any("fold" in record for record in read(path).values())
    assert "splits (test: 2, train: 3" in capsys.readouterr().out


def test_a_class_may_be_named_train(audio, tmp_path):
    make(tmp_path, ["train/0.wav", "car/0.wav", "fold 1/0.wav"])
    found = labels_of(audio.find_clips(tmp_path))
    assert sorted(found.values()) == ["car", "fold 1", "train"]


BAD_FOLDERS = {
    "empty": ([], "  there are no folders in it"),
    "files only": (["notes.txt"], "  there are no folders in it"),
    "clips in no folder": (
        [*CLASSES, "b.wav", "a.WAV"],
        "{data}/a.WAV: outside the folders of classes (2 such sounds)",
    ),
    "empty class": ([*CLASSES, "snow/"], "{data}/snow: no sounds"),
    "other formats": (
        [*CLASSES, "snow/0.m4a", "snow/a/1.m4a"],
        "{data}/snow: no sounds",
    ),
    "clips in a split": (
        [*SPLITS, "valid/0.wav"],
        "{data}/valid/0.wav: outside the folders of classes (1 such sounds)",
    ),
    "empty class of a split": (
        [*SPLITS, "test/snow/"],
        "{data}/test/snow: no sounds",
    ),
    "other name of a split": (
        [*SPLITS, "val/dog/0.wav"],
        "{data}/val: next to train, valid and test",
    ),
    "class next to splits": (
        [*SPLITS, "dog/0.wav"],
        "{data}/dog: next to train, valid and test",
    ),
    "line end": (
        [*CLASSES, "dog/a\nb.wav"],
        "'dog/a\\nb.wav': give it a name in UTF-8, without control characters",
    ),
    "other encoding": (
        [*CLASSES, os.fsdecode(b"dog/caf\xe9.wav")],
        "'dog/caf\\udce9.wav': give it a name in UTF-8",
    ),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders(case, audio, tmp_path):
    names, expected = BAD_FOLDERS[case]
    data = tmp_path / "data"
    data.mkdir()
    try:
        make(data, names)
    except OSError:
        pytest.skip("no such names in this file system")
    with pytest.raises(ValueError) as error:
        audio.prepare_audio(data, tmp_path / "out")
    assert type(error.value) is DataError
    assert f"\n  {expected.format(data=data).strip()}" in str(error.value)
    assert "--table FILE" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


@pytest.mark.parametrize(
    "names",
    ["train valid", "Test Train", "testing training", "fold1 fold2 fold_10"],
)
def test_parts_are_not_taken_for_classes(names, audio, tmp_path):
    parts = names.split()
    make(tmp_path, [f"{part}/dog/0.wav" for part in parts])
    with pytest.raises(ValueError) as error:
        audio.find_clips(tmp_path)
    assert f"{', '.join(parts)}: these seem to be parts" in str(error.value)


def test_all_problems_of_folders_together(audio, data):
    make(data, ["snow/", "ice/", "0.wav"])
    with pytest.raises(ValueError) as error:
        audio.find_clips(data)
    for name in ("snow", "ice", "0.wav"):
        assert f"  {data / name}: " in str(error.value)


def test_one_class(audio, tmp_path):
    make(tmp_path / "data", ["dog/0.wav", "dog/rain/0.wav"])
    with pytest.raises(ValueError, match="only one class was found: dog. Give"):
        audio.prepare_audio(tmp_path / "data", tmp_path / "out")


@pytest.mark.parametrize("there", ["nothing", "file"])
def test_absent_folder(there, audio, tmp_path):
    folder = tmp_path / "data"
    if there == "file":
        folder.touch()
    with pytest.raises(FileNotFoundError) as error:
        audio.prepare_audio(folder, tmp_path / "out")
    assert str(error.value).startswith(f"there is no folder {folder}. Give")
    assert f"    {folder}/\n        dog/*.wav" in str(error.value)


def test_folder_that_may_not_be_read(audio, data, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="my_sounds: Permission denied;"):
        audio.prepare_audio(data, tmp_path / "out")


# Folds


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(3, 12), min_size=1, max_size=8),
    n_folds=st.integers(3, 6),
)
def test_folds_are_even_in_each_class_and_as_a_whole(sizes, n_folds):
    sizes = [max(size, n_folds) for size in sizes]
    records = {
        f"{label}/{i}.wav": {"label": label}
        for label, size in zip("abcdefgh", sizes)
        for i in range(size)
    }
    make_folds(records, n_folds)
    every = Counter(r["fold"] for r in records.values())
    for counts in [every] + [
        Counter(r["fold"] for r in records.values() if r["label"] == label)
        for label in "abcdefgh"[: len(sizes)]
    ]:
        assert counts.keys() == set(range(1, n_folds + 1))
        assert max(counts.values()) - min(counts.values()) <= 1


def clips(labels, count):
    return [f"{label}/{i}.wav" for label in labels for i in range(count)]


def folds_of(names, n_folds=5):
    """The fold of each clip."""
    records = {name: {"label": name.split("/")[0]} for name in names}
    make_folds(records, n_folds)
    return {name: record["fold"] for name, record in records.items()}


def test_folds_do_not_depend_on_the_order_of_the_listing():
    names = clips("ab", 20)
    folds = folds_of(names)
    random.Random(0).shuffle(names)
    assert folds_of(names) == folds


def test_folds_are_by_chance_and_always_the_same():
    """Another version of the script must not test on clips of training."""
    folds = folds_of(clips("a", 15))
    expected = [5, 1, 2, 1, 5, 4, 3, 3, 4, 3, 1, 5, 2, 2, 4]
    assert list(folds.values()) == expected


def test_folds_depend_on_names_alone(audio, data, tmp_path):
    first, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    data.rename(tmp_path / "moved")
    clip = tmp_path / "moved" / "dog" / "0.wav"
    soundfile.write(clip, np.zeros(3200), 16000)
    second, _ = audio.prepare_audio(
        tmp_path / "moved", tmp_path / "out", n_folds=3
    )
    old, new = (
        {name: record["fold"] for name, record in read(path).items()}
        for path in (first, second)
    )
    assert first != second and old == new


def test_parts_of_folds_are_disjoint(audio, data, tmp_path):
    path, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    folds, _ = AsListed()(read(path))
    tested = [name for parts in folds.values() for name in parts["test"]]
    assert sorted(tested) == CLASSES
    for parts in folds.values():
        names = [name for part in parts.values() for name in part]
        assert sorted(names) == CLASSES


@pytest.mark.parametrize(
    ("n_folds", "expected"),
    [
        (2, "n_folds is 2: training, validation and test need 3"),
        (-1, "n_folds is -1: "),
        (4, "fewer clips than the 4 folds: dog: 3. Add clips, or give --n_f"),
        (5, "the 5 folds: dog: 3, rain: 4. Add clips, or give --n_folds 3"),
    ],
)
def test_number_of_folds_that_cannot_be(
    n_folds, expected, audio, data, tmp_path
):
    make(data, ["rain/3.wav"])
    with pytest.raises(ValueError) as error:
        audio.prepare_audio(data, tmp_path / "out", n_folds=n_folds)
    assert expected in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_class_of_two_clips():
    with pytest.raises(ValueError, match="b: 2. Add clips, or leave these out"):
        folds_of(clips("a", 3) + clips("b", 2), 3)


# Lists


def write_table(data, text, name="clips.csv"):
    """Write a list beside the data folder, in bytes or as text."""
    table = data.parent / name
    if isinstance(text, str):
        text = text.encode()
    table.write_bytes(text)
    return table


def listing(column=None, values=(), names=CLASSES):
    """A list of clips, with a further column whose values go round."""
    rows = ["path,label" + (f",{column}" if column else "")]
    for place, name in enumerate(names):
        value = f",{values[place % len(values)]}" if column else ""
        rows.append(f"{name},{name.split('/')[0]}{value}")
    return "\n".join(rows) + "\n"


def test_list_with_folds(audio, data, tmp_path, capsys):
    table = write_table(data, listing("fold", (1, 2, 3)))
    path, labels = audio.prepare_audio(data, tmp_path / "out", table)
    assert labels == ["dog", "rain"]
    assert [r["fold"] for r in read(path).values()] == [1, 2, 3, 1, 2, 3]
    assert capsys.readouterr().out == (
        "6 clips; 2 classes (dog: 3, rain: 3)\n3 folds (1: 2, 2: 2, 3: 2)\n"
    )


def test_list_with_splits(audio, data, tmp_path):
    table = write_table(data, listing("split", ("train", "test", "valid")))
    path, _ = audio.prepare_audio(data, tmp_path / "out", table)
    assert [r["split"] for r in read(path).values()] == [
        *("train", "test", "valid") * 2
    ]


def test_list_with_neither(audio, data, tmp_path):
    table = write_table(data, listing("take", (1, 2)))
    path, _ = audio.prepare_audio(data, tmp_path / "out", table, n_folds=3)
    by_folders, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    assert read(path) == read(by_folders)


def test_list_names_what_is_used(audio, data, tmp_path):
    table = write_table(data, listing())
    make(data, ["dog/unlisted.wav", "0.wav", "empty/"])
    path, _ = audio.prepare_audio(data, tmp_path / "out", table, n_folds=3)
    assert list(read(path)) == CLASSES


def test_relative_list(audio, data, tmp_path, monkeypatch):
    write_table(data, listing(), "2024")
    monkeypatch.chdir(tmp_path)
    for table in ("2024", Path("2024"), 2024):  # a number, to YAML
        audio.prepare_audio("my_sounds", "out", table, 3)
    with pytest.raises(FileNotFoundError) as error:
        audio.prepare_audio("my_sounds", "out", "my.csv", 3)
    assert str(error.value) == f"--table: there is no file {tmp_path}/my.csv"


def test_list_that_is_a_folder(audio, data, tmp_path):
    with pytest.raises(ValueError, match="is a folder, not a file"):
        audio.prepare_audio(data, tmp_path / "out", data)


def test_list_that_is_a_pipe_is_not_waited_for(audio, data, tmp_path):
    os.mkfifo(tmp_path / "clips.csv")
    with pytest.raises(ValueError, match="is a pipe or device, not a file"):
        audio.prepare_audio(data, tmp_path / "out", tmp_path / "clips.csv")


def parsed(audio, text, folder="/data/my_sounds"):
    return audio.parse_clips(text.encode(), "my.csv", Path(folder))


def test_list_of_a_spreadsheet(audio):
    text = "\ufefflabel,speaker,path,fold\r\n\r\n cat , x,a.WAV, 01\r\n"
    assert parsed(audio, text) == {
        "a.WAV": {"wav": "a.WAV", "label": "cat", "fold": 1, "speaker": "x"}
    }


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("7", "7"),
        ("007", "007"),
        ("no", "no"),
        ('"a, ""b"""', 'a, "b"'),
        ("it's", "it's"),
        ("Гроза 雨", "Гроза 雨"),
        ("a|b", "a|b"),
        ("no\xa0break", "no\xa0break"),
    ],
)
def test_label_is_kept_as_written(written, label, audio):
    assert labels_of(parsed(audio, f"path,label\na,{written}")) == {"a": label}


@pytest.mark.parametrize(
    "written",
    [
        "dog/a 1.wav",
        "./dog/a 1.wav",
        "dog//./a 1.wav",
        "dog\\a 1.wav",
        ".\\dog\\a 1.wav",
        "/data/my_sounds/dog/a 1.wav",
        '"dog/a 1.wav"',
    ],
)
def test_path_however_it_is_spelled(written, audio):
    found = parsed(audio, f"path,label\n{written},dog")
    assert found == {"dog/a 1.wav": {"wav": "dog/a 1.wav", "label": "dog"}}


def test_absolute_paths_by_a_link(audio, data, tmp_path):
    (tmp_path / "link").symlink_to(data)
    names = [str(tmp_path / "link" / name) for name in CLASSES[:3]]
    names += [str(data / name) for name in CLASSES[3:]]
    text = "\n".join(["path,label", *(f"{name},dog" for name in names)])
    assert list(parsed(audio, text, tmp_path / "link")) == CLASSES


FOLD = "path,label,fold\n"
SPLIT = "path,label,split\n"
BAD_LISTS = {
    "empty": ("", ":1: column 'path' is missing; found: none"),
    "no clips": ("path,label\n", ":1: no clips"),
    "other names": (
        "file;class\na;b",
        ":1: column 'path' is missing; found: file;class",
    ),
    "other separator": (
        "path|label\na|b",
        ":1: column 'path' is missing; found: path|label",
    ),
    "speakers": ("path,label,Speaker\na,b,c", ":1: column 'Speaker': name it"),
    "no text": ("path,label\n\na\0b,c", ":3: holds zero bytes: save the list"),
    "UTF-16 without its mark": (
        "p\0a\0t\0h\0,\0l\0a\0b\0e\0l\0",
        ":1: holds zero bytes: save the list as UTF-8",
    ),
    "column twice": (
        "path,label,fold,fold\na,b,1,2",
        ":1: column 'fold' is there 2 times",
    ),
    "fold and split": (
        "path,label,fold,split\na,b,1,test",
        ":1: both 'split' and 'fold': keep one of them",
    ),
    "capitals": ("path,label,Fold\na,b,1", ":1: column 'Fold': name it 'fold'"),
    "plural": ("path,label,splits\na,b,x", ":1: column 'splits': name it 'spl"),
    "no path": ("path,label\n,dog", ":2: path '' is no file name"),
    "leaves": ("path,label\n../a,dog", ":2: path '../a' leaves"),
    "absolute": ("path,label\n/data/a,dog", ":2: path '/data/a' leaves"),
    "beside": (
        "path,label\n/data/my_sounds2/a,dog",
        ":2: path '/data/my_sounds2/a' leaves",
    ),
    "back": (
        "path,label\n/data/my_sounds/../a,dog",
        ":2: path '../a' leaves the data folder",
    ),
    "drive": ("path,label\nC:\\data\\a,dog", ":2: path 'C:/data/a' leaves"),
    "odd path": ("path,label\na\0b,dog", ":2: "),
    "no label": ("path,label\na,", ":2: label '' is no name"),
    "odd label": ("path,label\na,b\x07c", ":2: label 'b\\x07c' is no name"),
    "label of two lines": (
        'path,label\na,"b\nc"',
        ":2: a quoted field runs on",
    ),
    "quote inside": ('path,label\na,"b"c', ":2: "),
    "comma in a label": ("path,label\na,b, c", ":2: 3 fields where the header"),
    "few fields": ("path,label\na", ":2: 1 fields where the header has 2"),
    "split val": (
        SPLIT + "a,b,val",
        ":2: split 'val' is none of: train, valid, test",
    ),
    "no split": (SPLIT + "a,b,", ":2: split '' is none of"),
    "fold 0": (FOLD + "a,b,0", ":2: fold '0' is not an integer from 1 to 999"),
    "fold 1.0": (FOLD + "a,b,1.0", ":2: fold '1.0' is not"),
    "fold 1000": (FOLD + "a,b,1000", ":2: fold '1000' is not"),
    "long fold": (FOLD + f"a,b,{'9' * 5000}", ":2: fold '9999"),
    "other digits": (FOLD + "a,b,١", ":2: fold '١' is not an integer"),
    "no fold": (FOLD + "a,b,", ":2: fold '' is not"),
    "listed twice": (
        "path,label\na.wav,b\nc.wav,b\na.wav,d",
        ":4: path 'a.wav' is listed in line 2 already",
    ),
    "spelled twice": (
        "path,label\nx/a.wav,b\n/data/my_sounds/x\\.\\a.wav,b",
        ":3: path 'x/a.wav' is listed in line 2 already",
    ),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_bad_list(case, audio):
    text, expected = BAD_LISTS[case]
    with pytest.raises(ValueError) as error:
        parsed(audio, text)
    assert type(error.value) is DataError
    lines = [line.strip() for line in str(error.value).splitlines()]
    assert any(line.startswith(f"my.csv{expected}") for line in lines)


def test_list_in_another_encoding(audio, data, tmp_path):
    table = write_table(
        data, "path,label\na.wav,dog\ncafé.wav,dog".encode("latin-1")
    )
    message = "clips.csv:3: byte 0xe9 is not UTF-8: save the list as UTF-8"
    with pytest.raises(DataError, match=message) as error:
        audio.prepare_audio(data, tmp_path / "out", table)
    assert str(error.value).endswith("\nCorrect them.")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_list_of_any_spreadsheet(encoding, separator, end, audio):
    """The truth is what the same list gives in UTF-8 with commas."""
    rows = [["path", "label", "fold"], ["é.wav", 'café, "big"; 雨', "1"]]
    rows += [["b/c.wav", "dog", "2"]]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=end)
    writer.writerows(rows)
    content = stream.getvalue().encode(encoding)
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    content = marks.get(encoding, b"") + content
    found = audio.parse_clips(content, "my.csv", Path("/data"))
    assert found == {
        path: {"wav": path, "label": label, "fold": int(fold)}
        for path, label, fold in rows[1:]
    }


def test_columns_of_other_names(audio, data, tmp_path):
    table = write_table(data, listing())
    expected, _ = audio.prepare_audio(data, tmp_path / "out", table, n_folds=3)
    text = listing().replace("path,label", "file;class;label")
    other = text.replace(",", ";").replace("\n", ";x\n")
    other = other.replace("label;x", "label")
    table = write_table(data, other, "other.csv")
    names = {"path_column": "file", "label_column": "class"}
    found, labels = audio.prepare_audio(
        data, tmp_path / "out", table, n_folds=3, **names
    )
    assert read(found) == read(expected) and labels == ["dog", "rain"]
    with pytest.raises(DataError, match="--path_column, --label_column and"):
        audio.prepare_audio(data, tmp_path / "out", table, n_folds=3)
    with pytest.raises(DataError, match="group_column need a --table"):
        audio.prepare_audio(data, tmp_path / "out", **names)


def test_column_of_labels_may_be_the_speaker(audio):
    content = b"path,speaker,fold\na.wav,eve,1"
    found = audio.parse_clips(
        content, "my.csv", Path("/data"), ("path", "speaker", "group")
    )
    assert found == {"a.wav": {"wav": "a.wav", "label": "eve", "fold": 1}}


@pytest.mark.parametrize("column", ["speaker", "group"])
def test_group_stays_in_one_fold(column, audio, data, tmp_path):
    names = [f"{label}/{i}.wav" for label in ("dog", "rain") for i in range(12)]
    make(data, names)
    groups = ("a", "b", "c", "", "", "")
    table = write_table(data, listing(column, groups, names))
    path, _ = audio.prepare_audio(data, tmp_path / "out", table, n_folds=3)
    found = {}
    for record in read(path).values():
        found.setdefault(record.get(column), set()).add(record["fold"])
    assert all(len(found[group]) == 1 for group in "abc")
    assert len(found[None]) > 1  # an empty cell binds nothing


@pytest.mark.parametrize("column", ["speaker", "group"])
def test_group_in_several_given_folds_is_told(
    column, audio, data, tmp_path, caplog
):
    text = listing("fold", (1, 2, 3)).splitlines()
    rows = [f"{text[0]},{column}"]
    rows += [
        f"{row},{g}" for row, g in zip(text[1:], ["x", "y", "", "x", "x", ""])
    ]
    table = write_table(data, "\n".join(rows))
    audio.prepare_audio(data, tmp_path / "out", table)
    assert f"{column} 'x' is in folds 1, 2" in caplog.text
    assert "'y'" not in caplog.text and "''" not in caplog.text


TELLING = ["speaker_id", "speakerID", "SPK", "spk-id", "subject", "client_id"]
TELLING += ["Participant No", "patientIDs", "src_file", "fsID", "recording"]


@pytest.mark.parametrize("column", TELLING)
def test_column_that_may_tell_groups_is_named(column, audio, caplog):
    content = f"path,label,{column}\na.wav,dog,1".encode()
    audio.parse_clips(content, "my.csv", Path("/data"))
    assert f"{column!r}: if so, add --group_column {column!r}" in caplog.text


@pytest.mark.parametrize("column", ["take", "duration", "category", "id", "no"])
def test_other_columns_are_not(column, audio, caplog):
    content = f"path,label,{column}\na.wav,dog,1".encode()
    audio.parse_clips(content, "my.csv", Path("/data"))
    audio.parse_clips(
        b"path,subject,take\na.wav,dog,1",
        "my.csv",
        Path("/data"),
        ("path", "subject", "group"),
    )
    content = b"path,label,speaker,speaker_id\na.wav,dog,eve,1"
    audio.parse_clips(content, "my.csv", Path("/data"))
    assert not caplog.text


def test_named_column_tells_the_groups(audio, data, tmp_path, caplog):
    names = [f"{label}/{i}.wav" for label in ("dog", "rain") for i in range(12)]
    make(data, names)
    table = write_table(data, listing("speakerID", ("a", "b", "c", "d"), names))
    path, _ = audio.prepare_audio(
        data, tmp_path / "out", table, n_folds=3, group_column="speakerID"
    )
    folds = {}
    for record in read(path).values():
        folds.setdefault(record["group"], set()).add(record["fold"])
    assert [len(found) for found in folds.values()] == [1] * 4
    assert not caplog.text
    with pytest.raises(DataError, match="column 'spk' is missing"):
        audio.prepare_audio(data, tmp_path / "out", table, group_column="spk")
    with pytest.raises(DataError, match="need a --table"):
        audio.prepare_audio(data, tmp_path / "out", group_column="speakerID")


@pytest.mark.parametrize("column", ["speaker", "group"])
@pytest.mark.parametrize("value", ["NA", "unknown", "N/A", "?", "None"])
def test_unknown_group_counts_as_one_and_this_is_said(
    value, column, audio, caplog
):
    rows = [f"{i}.wav,dog,{v}" for i, v in enumerate(["x", value, value, ""])]
    content = "\n".join([f"path,label,{column}", *rows]).encode()
    audio.parse_clips(content, "my.csv", Path("/data"))
    assert (
        f"{column} {value!r} of 2 clips counts as ONE {column}" in caplog.text
    )
    assert "leave the field empty: each such clip stands alone" in caplog.text
    assert f"1 of 4 clips have no {column}: each counts" in caplog.text
    assert "'x'" not in caplog.text


def test_all_problems_of_the_list_together(audio):
    with pytest.raises(ValueError) as error:
        parsed(audio, f"{FOLD}../a.wav,,0\nb.wav\n\nc.wav,d,1\nc.wav,d,1")
    first, *lines, _ = str(error.value).splitlines()
    assert first == "Problems in the list of clips (5):"
    places = [line.split(": ")[0].strip() for line in lines]
    assert places == [f"my.csv:{line}" for line in (2, 2, 2, 3, 6)]


PATHS = ["a.wav", "./a.wav", "b\\c.wav", "b/c.wav", "../d.wav", "", 'e".wav']
PATHS += ["/data/my_sounds/a.wav", "/data/f.wav", "C:\\g.wav", "h\ni.wav"]
ROWS = st.lists(
    st.builds(
        lambda i, label, fold: [f"{i}.wav", label, fold],
        st.integers(0, 30),
        st.sampled_from(["dog", "1", "a, b"]),
        st.sampled_from("123"),
    )
    | st.tuples(
        st.sampled_from(PATHS),
        st.sampled_from(["dog", "", "r,ain", "ra\nin", '"']),
        st.sampled_from(["1", "02", "0", "x", "", "1.0"]),
    ),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_no_row_is_lost(audio, rows):
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["path", "label", "fold"])
    writer.writerows(rows)
    try:
        found = parsed(audio, stream.getvalue())
    except ValueError as error:
        assert type(error) is DataError and "my.csv:" in str(error)
    else:
        assert [(r["label"], r["fold"]) for r in found.values()] == [
            (label, int(fold)) for _, label, fold in rows
        ]
        for (path, *_), name in zip(rows, found):
            assert path.replace("\\", "/").endswith(name)


TEXT = st.text(alphabet=st.sampled_from("a1,\"'\r\n\0 \ufeff\u2028.wav/\\"))


@settings(max_examples=300, deadline=None)
@given(content=st.binary() | TEXT.map(lambda t: f"path,label\n{t}".encode()))
def test_any_content_gives_clips_or_the_named_error(audio, content):
    try:
        assert audio.parse_clips(content, "my.csv", Path("/data"))
    except ValueError as error:
        assert type(error) is DataError and "my.csv:" in str(error)


# Parts that a list gives

BAD_PARTS = {
    "gap": ("fold", (1, 2, 4), "no clip is in fold 3; the clips are in: 1, 2,"),
    "from 2": ("fold", (2, 3, 4), "no clip is in fold 1; the clips are in: 2,"),
    "one fold": (
        "fold",
        (1,),
        "'dog' is only in fold 1\n  'rain' is only in fold 1",
    ),
    "class in one fold": (
        "fold",
        (1, 2, 3, 2, 2, 2),
        "tested without being trained:\n  'rain' is only in fold 2\nCorrect",
    ),
    "no train": (
        "split",
        ("valid", "test"),
        "no clip is in split train; the clips are in: test, valid",
    ),
    "no test": (
        "split",
        ("train", "valid"),
        "no clip is in split test; the clips are in: train, valid",
    ),
    "class in no train": (
        "split",
        ("train", "train", "test", "valid", "test", "test"),
        "trained:\n  'rain' is only in split test, valid\nCorrect",
    ),
}


@pytest.mark.parametrize("case", BAD_PARTS)
def test_bad_parts(case, audio, data, tmp_path):
    column, values, expected = BAD_PARTS[case]
    table = write_table(data, listing(column, values))
    with pytest.raises(ValueError) as error:
        audio.prepare_audio(data, tmp_path / "out", table)
    assert expected in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_class_that_is_only_tested_in_folders(audio, tmp_path):
    make(tmp_path / "data", [*SPLITS, "test/dogs/0.wav"])
    with pytest.raises(ValueError, match="'dogs' is only in split test"):
        audio.prepare_audio(tmp_path / "data", tmp_path / "out")


@pytest.mark.parametrize("fixed_epochs", [False, True])
def test_splits_without_validation(fixed_epochs, audio, data, tmp_path):
    table = write_table(data, listing("split", ("train", "train", "test")))
    path, _ = audio.prepare_audio(data, tmp_path / "out", table)
    chosen = dict(few_shot=0, few_shot_draws=1, seed=10)
    chosen["fixed_epochs"] = fixed_epochs
    if fixed_epochs:
        [fold] = plan_folds(read(path), AsListed(), [], **chosen).folds
        assert [*map(len, fold.parts.values())] == [4, 2]
    else:
        with pytest.raises(ValueError, match="--fixed_epochs True"):
            plan_folds(read(path), AsListed(), [], **chosen)


# The manifest

CHANGES = {
    "a clip's content": lambda data: soundfile.write(
        data / "dog" / "0.wav", np.zeros(3200), 16000
    ),
    "a clip's time": lambda data: os.utime(data / "dog" / "0.wav", ns=(1, 1)),
    "one more": lambda data: make(data, ["dog/3.wav"]),
    "one less": lambda data: shutil.move(
        data / "dog/0.wav", data / "rain/a.wav"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_makes_a_new_manifest(change, audio, data, tmp_path):
    make(data, ["dog/9.wav"])
    old, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    content = old.read_text()
    CHANGES[change](data)
    new, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    assert new != old and old.read_text() == content


def test_copy_has_the_same_manifest(audio, data, tmp_path):
    first, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    shutil.copytree(data, tmp_path / "copy")  # as tar does, times included
    again, _ = audio.prepare_audio(
        tmp_path / "copy", tmp_path / "out", n_folds=3
    )
    assert again == first


def test_other_folds_make_another_manifest(audio, data, tmp_path):
    make(data, ["dog/3.wav", "rain/3.wav"])
    found = {
        audio.prepare_audio(data, tmp_path / "out", n_folds=n)[0]
        for n in (3, 4)
    }
    assert len(found) == 2


def test_audio_is_not_read_again(audio, data, tmp_path, monkeypatch):
    first, _ = audio.prepare_audio(data, tmp_path / "out", n_folds=3)
    monkeypatch.setattr(preparation, "check_audio", None)
    monkeypatch.chdir(tmp_path)
    again, _ = audio.prepare_audio("my_sounds", "out", n_folds=3)
    assert again.resolve() == first


def test_all_bad_audio_together(audio, data, tmp_path):
    table = write_table(data, listing(names=[*CLASSES, "dog/gone.wav"]))
    (data / "rain" / "0.wav").write_bytes(b"")
    with pytest.raises(AudioError) as error:
        audio.prepare_audio(data, tmp_path / "out", table, 3)
    assert "2 of 7" in str(error.value)
    assert f"{data}/dog/gone.wav: No such file" in str(error.value)
    assert f"{data}/rain/0.wav: empty" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_manifest_folder_that_cannot_be_written(audio, data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="choose another folder"):
        audio.prepare_audio(data, tmp_path / "file" / "out", n_folds=3)
