"""Preparing IEMOCAP, on generated dialogues."""

import importlib
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
from tests.corpora import sound_of, write_iemocap

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "IEMOCAP"
HEAD = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
RATERS = "C-E2:\tNeutral;\t()\nA-E4:\tval 3; act 2; dom  2;\t(a [b])\n\n"
DIALOGS = {
    "Ses01F_impro01": {"F000": "neu", "M000": "exc", "M001": "xxx"},
    "Ses02M_script01_1": {"F000": "sad", "M000": "hap"},
    "Ses02M_script01_1b": {"F000": "fru", "M000": "ang"},
    "Ses03F_impro08a": {"M012": "neu"},
    "Ses04F_impro01": {"F000": "sad"},
    "Ses05M_impro03": {"MXX0": "ang", "F001": "dis"},
}


def line(utterance, label, times="[6.2901 - 8.2357]"):
    """A label line."""
    return f"{times}\t{utterance}\t{label}\t[2.5000, 2.5000, 2.5000]\n"


def text(dialog, labels):
    """A label file's text."""
    parts = [line(f"{dialog}_{k}", v) + RATERS for k, v in labels.items()]
    return HEAD + "".join(parts)


def label_file(folder, dialog):
    """Where a dialog's labels are."""
    session = f"Session{dialog[4]}"
    return folder / session / "dialog" / "EmoEvaluation" / f"{dialog}.txt"


def wav_file(folder, dialog, turn):
    """Where an utterance's sound is."""
    wavs = folder / f"Session{dialog[4]}" / "sentences" / "wav"
    return wavs / dialog / f"{dialog}_{turn}.wav"


def write(folder, dialog, labels):
    """Write a dialog with a short clip for each utterance."""
    file = label_file(folder, dialog)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(dialog, labels))
    for turn in labels:
        wav = wav_file(folder, dialog, turn)
        wav.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(wav, sound_of(wav.name), 16000)


@pytest.fixture
def iemocap(monkeypatch):
    """The prepare script, imported as train.py imports it."""
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module("iemocap_prepare")


@pytest.fixture(scope="module")
def parse():
    """The script's parser, once for all the examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("iemocap_prepare").parse_labels


@pytest.fixture
def data(tmp_path):
    """A data folder of six dialogs, with files that are no label files."""
    folder = tmp_path / "IEMOCAP_full_release"
    for dialog, labels in DIALOGS.items():
        write(folder, dialog, labels)
    place = label_file(folder, "Ses01F_impro01").parent
    (place / "._Ses01F_impro01.txt").write_bytes(b"\0\5\x16\7[ Mac OS X")
    (place / ".hidden.txt").write_text("[")
    for part in ("Attribute", "Categorical", "Self-evaluation"):
        (place / part).mkdir()
        (place / part / "Ses01F_impro01_e1.txt").write_text("[what] :neu; ()")
    wav = wav_file(folder, "Ses01F_impro01", "F000")
    wav.with_name(f"._{wav.name}").write_bytes(b"\0\5\x16\7")
    return folder


def test_manifest(iemocap, data, tmp_path):
    path, labels = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert labels == iemocap.LABELS == ("neu", "ang", "sad", "hap")
    manifest = json.loads(path.read_text())
    assert {k: (r["label"], r["speaker"]) for k, r in manifest.items()} == {
        "Ses01F_impro01_F000": ("neu", "Ses01F"),
        "Ses01F_impro01_M000": ("hap", "Ses01M"),
        "Ses02M_script01_1_F000": ("sad", "Ses02F"),
        "Ses02M_script01_1_M000": ("hap", "Ses02M"),
        "Ses02M_script01_1b_M000": ("ang", "Ses02M"),
        "Ses03F_impro08a_M012": ("neu", "Ses03M"),
        "Ses04F_impro01_F000": ("sad", "Ses04F"),
        "Ses05M_impro03_MXX0": ("ang", "Ses05M"),
    }
    assert manifest["Ses02M_script01_1b_M000"] == {
        "wav": "{data_root}/Session2/sentences/wav/Ses02M_script01_1b/"
        "Ses02M_script01_1b_M000.wav",
        "duration": 0.1,
        "digest": manifest["Ses02M_script01_1b_M000"]["digest"],
        "label": "ang",
        "session": 2,
        "speaker": "Ses02M",
    }
    assert list((tmp_path / "out").glob("*.json")) == [path]


def test_generated_corpus(iemocap, tmp_path, caplog):
    folder = write_iemocap(tmp_path / "data")
    path, _ = iemocap.prepare_iemocap(folder, tmp_path / "out", True)
    records = json.loads(path.read_text()).values()
    found = Counter((r["speaker"], r["label"]) for r in records)
    assert len(found) == 10 * 4 and set(found.values()) == {1, 2}
    assert not caplog.text


def test_speakers_are_of_one_session(iemocap, data, tmp_path):
    path, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    records = json.loads(path.read_text()).values()
    assert all(int(r["speaker"][4]) == r["session"] for r in records)
    assert {r["session"] for r in records} == {1, 2, 3, 4, 5}


def test_same_input_finds_the_same_manifest(
    iemocap, data, tmp_path, monkeypatch
):
    first, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    other, _ = iemocap.prepare_iemocap(data, tmp_path / "other", True)
    assert other.name == first.name
    assert other.read_bytes() == first.read_bytes()
    monkeypatch.setattr(preparation, "check_audio", None)
    again, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert again == first


def test_another_label_makes_another_manifest(iemocap, data, tmp_path):
    old, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    file = label_file(data, "Ses04F_impro01")
    file.write_text(file.read_text().replace("sad", "ang"))
    new, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert new != old and old.exists()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_label_lines(end, parse):
    lines = [
        HEAD,
        line("Ses01F_impro01_F000", "neu"),
        "A-E1:\tval 3; act 2;\t(caf\xe9)\n",
        line("Ses01F_impro01_M000 ", " oth"),
    ]
    content = "".join(lines).replace("\n", end).encode("latin-1")
    assert parse(content, "Ses01F_impro01", 1) == (
        [
            (3, "Ses01F_impro01_F000", "Ses01F", "neu"),
            (5, "Ses01F_impro01_M000", "Ses01M", "oth"),
        ],
        [],
    )


GOOD = line("Ses01F_impro01_F000", "neu")
LINES = {
    "other label": (
        GOOD.replace("neu", "joy"),
        ":1: label 'joy' of 'Ses01F_impro01_F000' is not one of "
        "neu, ang, sad, hap, exc, fru, sur, fea, dis, oth, xxx",
    ),
    "label in capitals": (GOOD.replace("neu", "NEU"), ":1: label 'NEU'"),
    "empty label": (GOOD.replace("neu", ""), ":1: label '' of 'Ses01F"),
    "no label": (
        GOOD.replace("\tneu", ""),
        r":1: '[6.2901 - 8.2357]\tSes01F_impro01_F000\t[2.5000, 2.5000, "
        "2.5000]' is not [times] name label [ratings] with tabs between",
    ),
    "no ratings": (GOOD + GOOD.rpartition("\t")[0], ":2: '[6.2901"),
    "cut": (GOOD + "[6.29", ":2: '[6.29' is not [times] name label"),
    "two in a line": (GOOD.strip() + GOOD, ":1: '[6.2901"),
    "spaces for tabs": (GOOD.replace("\t", " "), ":1: '[6.2901"),
    "no utterance": (line("", "neu"), ":1: utterance '' is not named like"),
    "other speaker": (
        line("Ses01F_impro01_X000", "neu"),
        ":1: utterance 'Ses01F_impro01_X000' is not named like Ses01F_impro01_",
    ),
    "no number": (line("Ses01F_impro01_F", "neu"), ":1: utterance 'Ses01F"),
    "leaves": (line("../Ses01F_impro01_F000", "neu"), ":1: utterance '../Ses"),
    "other dialog": (
        line("Ses01F_impro02_F000", "xxx"),
        ":1: utterance 'Ses01F_impro02_F000' does not belong to dialog "
        "'Ses01F_impro01'",
    ),
    "longer dialog": (
        line("Ses01F_impro01b_F000", "neu"),
        ":1: utterance 'Ses01F_impro01b_F000' does not belong to dialog",
    ),
    "other session": (
        line("Ses02F_impro01_F000", "neu"),
        ":1: utterance 'Ses02F_impro01_F000' is not of Session1, its folder",
    ),
    "listed twice": (
        GOOD + RATERS + GOOD.replace("neu", "ang"),
        ":5: utterance 'Ses01F_impro01_F000' is listed at {file}:1 already",
    ),
    "no label lines": (HEAD, ":1: the file has no label lines"),
    "empty": ("", ":1: the file has no label lines"),
}


@pytest.mark.parametrize("case", LINES)
def test_bad_labels(case, iemocap, data, tmp_path):
    content, expected = LINES[case]
    file = label_file(data, "Ses01F_impro01")
    file.write_text(content)
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert type(error.value) is DataError
    assert f"  {file}{expected.format(file=file)}" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_dialog_in_another_session(iemocap, data, tmp_path):
    file = label_file(data, "Ses04F_impro01")
    moved = file.rename(
        label_file(data, "Ses03F_impro08a").with_name(file.name)
    )
    write(data, "Ses04F_impro02", {"F000": "neu"})
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out", True)
    text = "utterance 'Ses04F_impro01_F000' is not of Session3, its folder"
    assert f"{moved}:3: {text}" in str(error.value)


def test_all_problems_of_all_files_together(iemocap, data, tmp_path):
    first, second = [label_file(data, d) for d in list(DIALOGS)[:3:2]]
    first.write_text(line("Ses02F_impro01_F000", "joy") + "[")
    second.write_text("")
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out", True)
    head, *lines, remedy = str(error.value).splitlines()
    assert head == "Problems in the list of clips (5):"
    places = [line.split(": ")[0].strip() for line in lines]
    assert places == [f"{first}:1"] * 3 + [f"{first}:2", f"{second}:1"]
    assert "again" in remedy


def test_files_of_the_system_are_passed_over(iemocap, data, tmp_path):
    expected, _ = iemocap.prepare_iemocap(data, tmp_path / "one", True)
    wavs = wav_file(data, "Ses04F_impro01", "M007").parents[1]
    for path in (wavs / "__MACOSX/x.wav", wavs / "._x.wav", wavs / "Thumbs.db"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    label_file(data, "Ses04F_impro01").with_name("._a.txt").write_bytes(b"x")
    found, _ = iemocap.prepare_iemocap(data, tmp_path / "other", True)
    assert found.read_text() == expected.read_text()


def test_wav_without_a_label(iemocap, data, tmp_path, caplog):
    wav = wav_file(data, "Ses04F_impro01", "M007")
    soundfile.write(wav, sound_of(wav.name), 16000)
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out")
    assert str(error.value).startswith("1 wav files without a label line")
    assert f"\n  {wav}\n" in str(error.value)
    assert "--allow_partial True" in str(error.value)
    path, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert str(wav) in caplog.text
    assert "Ses04F_impro01_M007" not in json.loads(path.read_text())


def test_labelled_wav_in_the_wrong_folder(iemocap, data, tmp_path):
    wav = wav_file(data, "Ses02M_script01_1b", "F000")
    moved = wav.rename(wav.parents[1] / wav.name)
    with pytest.raises(ValueError, match="1 wav files") as error:
        iemocap.prepare_iemocap(data, tmp_path / "out")
    assert str(moved) in str(error.value)


def test_wavs_of_left_out_utterances_may_be_absent(iemocap, data, tmp_path):
    wav_file(data, "Ses01F_impro01", "M001").unlink()
    path, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert len(json.loads(path.read_text())) == 8


def test_all_bad_audio_together(iemocap, data, tmp_path):
    wav_file(data, "Ses01F_impro01", "F000").unlink()
    wav_file(data, "Ses04F_impro01", "F000").write_bytes(b"")
    wav_file(data, "Ses05M_impro03", "MXX0").write_bytes(b"RIFF, no sound")
    with pytest.raises(AudioError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert "3 of 8" in str(error.value)
    assert "Ses01F_impro01_F000.wav: No such file" in str(error.value)
    assert "Ses04F_impro01_F000.wav: empty" in str(error.value)
    assert "Ses05M_impro03_MXX0.wav: not audio" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))


@pytest.mark.parametrize("gone", ["session", "label files"])
def test_missing_session(gone, iemocap, data, tmp_path, caplog):
    place = label_file(data, "Ses03F_impro08a").parent
    if gone == "session":
        (data / "Session3").rename(tmp_path / "elsewhere")
    else:
        label_file(data, "Ses03F_impro08a").unlink()
    with pytest.raises(FileNotFoundError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out")
    assert f"no label files in\n\n  {place}\n\n" in str(error.value)
    assert not any((tmp_path / "out").glob("[!.]*"))
    path, _ = iemocap.prepare_iemocap(data, tmp_path / "out", True)
    assert f"no label files:\n  {place}" in caplog.text
    records = json.loads(path.read_text()).values()
    assert {r["session"] for r in records} == {1, 2, 4, 5}


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("there", ["nothing", "empty folder", "file"])
def test_absent_dataset(there, partial, iemocap, tmp_path):
    folder = tmp_path / "data"
    if there == "empty folder":
        folder.mkdir()
    if there == "file":
        folder.write_text("")
    with pytest.raises(FileNotFoundError) as error:
        iemocap.prepare_iemocap(folder, tmp_path / "out", partial)
    for part in (
        str(folder / "Session1" / "dialog" / "EmoEvaluation"),
        "https://sail.usc.edu/iemocap/",
        "sentences/wav/<dialog>/<utterance>.wav",
        "IEMOCAP_full_release",
        "--data_folder DIR",
        "not downloaded",
        "petl_modules.miniatures",
    ):
        assert part in str(error.value)


def test_no_utterance_of_the_four_classes(iemocap, tmp_path):
    write(tmp_path / "data", "Ses01F_impro01", {"F000": "xxx"})
    with pytest.raises(ValueError, match="no utterance has one of the labels"):
        iemocap.prepare_iemocap(tmp_path / "data", tmp_path / "out", True)
    assert not any((tmp_path / "out").glob("[!.]*"))


def test_label_file_that_is_a_folder(iemocap, data, tmp_path):
    label_file(data, "Ses01F_impro02").mkdir()
    with pytest.raises(ValueError, match="impro02.txt is a folder, not a file"):
        iemocap.prepare_iemocap(data, tmp_path / "out", True)


def test_label_file_that_is_a_dead_link(iemocap, data, tmp_path):
    file = label_file(data, "Ses01F_impro02")
    file.symlink_to("nowhere.txt")
    with pytest.raises(ValueError, match="impro02.txt:1: .* no label lines"):
        iemocap.prepare_iemocap(data, tmp_path / "out", True)


def test_manifest_folder_that_cannot_be_written(iemocap, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        iemocap.prepare_iemocap(data, tmp_path / "file" / "out", True)


def test_partial_must_be_asked_for(iemocap, data, tmp_path):
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(data, tmp_path / "out")
    told = str(error.value)
    assert "Found: 8 utterances; labels neu: 2, ang: 2, sad: 2, hap: 2" in told
    assert "Expected: 5531 utterances; labels neu: 1708, ang: 1103" in told
    assert "--allow_partial True" in told


def test_partial_tells_the_counts(iemocap, data, tmp_path, capsys):
    iemocap.prepare_iemocap(data, tmp_path / "out", True)
    said = capsys.readouterr().out
    assert "A part of IEMOCAP: 8 utterances; labels ang: 2, hap: 2" in said
    assert "sessions 1: 2, 2: 3, 3: 1, 4: 1, 5: 1; 7 speakers" in said


def full_labels(counts):
    """Labels by session with the dataset's counts."""
    pool = [label for label, n in counts.items() for _ in range(n)]
    for session in range(1, 6):
        yield session, pool[session - 1 :: 5]


def test_full_counts(iemocap, tmp_path, monkeypatch):
    monkeypatch.setattr(
        preparation,
        "check_audio",
        lambda paths, *_: [AudioFacts(4.5, "0" * 32)] * len(paths),
    )
    folder = tmp_path / "data"
    for session, labels in full_labels(iemocap.EXPECTED["labels"]):
        dialog = f"Ses0{session}F_impro01"
        turns = {
            f"{'FM'[i % 2]}{i:04}": label for i, label in enumerate(labels)
        }
        file = label_file(folder, dialog)
        file.parent.mkdir(parents=True)
        file.write_text(text(dialog, {**turns, "F9999": "xxx"}))
    path, _ = iemocap.prepare_iemocap(folder, tmp_path / "out")
    assert len(json.loads(path.read_text())) == 5531
    file.write_text(file.read_text().replace("\thap\t", "\tsad\t", 1))
    with pytest.raises(ValueError) as error:
        iemocap.prepare_iemocap(folder, tmp_path / "out")
    assert "Found: labels sad: 1085, hap: 1635" in str(error.value)


NAMES = st.sampled_from(
    """
    Ses01F_impro01_F000 Ses01F_impro01_M001 Ses01F_impro01_MXX0
    Ses01F_impro01b_F000 Ses01F_script01_F000 Ses02F_impro01_F000
    Ses01F_impro01 Ses01F_impro01_ Ses01F_impro01_X000 ../Ses01F_impro01_F000
    """.split()
    + ["", " "]
)
NAMED = st.builds(
    "[{} - 9.25]\t{}\t{}\t[2.5, 2.0, 3.0]".format,
    st.floats(0, 9),
    NAMES,
    st.sampled_from(["neu", "exc", "hap", "xxx", "dis", "joy", ""]),
)
PIECES = st.lists(
    st.sampled_from(["[", "]", "\t", " ", "Ses01F_impro01_F000", "neu", "%"])
).map("".join)
FILES = st.lists(NAMED | PIECES | st.just("C-E2:\tNeutral;\t()"), max_size=8)


@settings(max_examples=400, deadline=None)
@given(lines=FILES, end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_no_line_is_lost(parse, lines, end):
    found, problems = parse(end.join(lines).encode(), "Ses01F_impro01", 1)
    wanted = {
        number
        for number, content in enumerate(lines, 1)
        if content.strip().startswith("[")
    }
    right, wrong = {row[0] for row in found}, {place for place, _ in problems}
    assert right | wrong == (wanted or {1}) and not right & wrong
    for number, name, speaker, label in found:
        fields = lines[number - 1].split("\t")
        assert [name, label] == [fields[1].strip(), fields[2].strip()]
        assert speaker == "Ses01" + name.split("_")[-1][0]


TEXT = st.text(st.sampled_from("[]\t\r\n\0 -.,\u2028\ufeffSes01F_impro0neu"))


@settings(max_examples=300, deadline=None)
@given(content=st.binary() | TEXT.map(str.encode))
def test_any_content_gives_lines_or_problems(parse, content):
    found, problems = parse(content, "Ses01F_impro01", 1)
    assert found or problems
    assert all(line >= 1 and text for line, text in problems)
