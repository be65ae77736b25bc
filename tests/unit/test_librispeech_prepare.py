"""Preparing LibriSpeech: each fault is named with its file and line."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules.data.prepare import read_manifest
from petl_modules.recognition import Units
from petl_modules.utils import AudioError, DataError, HparamsError
from tests.corpora import write_librispeech

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "LibriSpeech"
CHAPTER = "train-clean-100/103/1240"
TEXTS = f"{CHAPTER}/103-1240.trans.txt"


@pytest.fixture(scope="module")
def script():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("librispeech_prepare")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_librispeech(tmp_path_factory.mktemp("whole") / "LibriSpeech")


@pytest.fixture
def data(whole, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(whole, tmp_path / "LibriSpeech")


def prepare(script, data, **options):
    options = {"allow_partial": True, **options}
    out = data.parent / "manifests"
    manifest, labels = script.prepare_librispeech(data, out, **options)
    return read_manifest(manifest), labels


def refused(script, data, error=DataError, **options):
    with pytest.raises(error) as caught:
        prepare(script, data, **options)
    assert type(caught.value) is error
    return str(caught.value)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def line_of(data, number=1):
    """A line of a chapter's transcripts: the clip's id, and its text."""
    line = (data / TEXTS).read_text().splitlines()[number - 1]
    return line.split(" ", 1)


def test_manifest_of_characters(script, whole, capsys):
    records, labels = prepare(script, whole)
    assert labels[:4] == ["<blank>", " ", "'", "A"] and len(labels) == 29
    clip, text = line_of(whole)
    record = records[clip]
    assert record.pop("digest") and record.pop("duration") > 0.5
    assert record == {
        "wav": f"{{data_root}}/{CHAPTER}/{clip}.flac",
        "speaker": "103",
        "part": "train-clean-100",
        "split": "train",
        "text": text,
    }
    told = capsys.readouterr().out
    assert "36 clips of 28 speakers" in told
    assert "test-other: 8" in told


def test_parts_are_splits_and_the_harder_ones_a_condition(script, whole):
    records, _ = prepare(script, whole)
    found = {
        (r["part"], r["split"], r.get("condition")) for r in records.values()
    }
    assert found == {
        ("train-clean-100", "train", None),
        ("dev-clean", "valid", None),
        ("test-clean", "test", None),
        ("test-other", "test", "other"),
    }


def test_phones_are_those_of_the_lexicon(script, data):
    clip, text = line_of(data)
    lexicon = (data / "librispeech-lexicon.txt").read_text()
    phones = dict(line.split("\t") for line in lexicon.splitlines())
    # A second pronunciation, which does not count
    first = text.split()[0]
    with open(data / "librispeech-lexicon.txt", "a") as file:
        file.write(f"{first}  Z Z Z\n")
    records, labels = prepare(script, data, units="phones")
    expected = " ".join(phones[word] for word in text.split())
    assert records[clip]["phones"] == expected
    assert len(labels) == 70 and {"AA0", "AA1", "ZH"} < {*labels}
    records, labels = prepare(script, data, units="phones", stress=False)
    assert records[clip]["phones"] == expected.replace("1", "")
    assert len(labels) == 40


def test_pieces_are_those_of_the_training_text(script, data):
    records, labels = prepare(script, data, units="sentencepiece", pieces=22)
    units = Units("sentencepiece", labels)
    assert len(labels) == 23
    for record in records.values():
        assert units.decode(units.encode(record["text"])) == record["text"]
    assert prepare(script, data, units="sentencepiece", pieces=22)[1] == labels


FAULTS = {
    "empty transcript": (
        lambda data, clip, text: edit(data / TEXTS, f"{clip} {text}", clip),
        ":1: the transcript of 103-1240-0000 is empty",
    ),
    "character": (
        lambda data, clip, text: edit(data / TEXTS, text, f"{text} 5 a\u00e9"),
        ":1: the transcript of 103-1240-0000 has '5' (U+0035)",
    ),
    "other character": (
        lambda data, clip, text: edit(data / TEXTS, text, f"{text} \u00c9"),
        ":1: the transcript of 103-1240-0000 has '\u00c9' (U+00C9)",
    ),
    "no file": (
        lambda data, clip, text: (data / CHAPTER / f"{clip}.flac").unlink(),
        ":1: 103-1240-0000 has no file 103-1240-0000.flac",
    ),
    "no line": (
        lambda data, clip, text: edit(data / TEXTS, f"{clip} {text}\n", ""),
        ":1: 103-1240-0000.flac has no line here",
    ),
    "no list": (
        lambda data, clip, text: (data / TEXTS).unlink(),
        ":1: 103-1240-0000.flac has no line here",
    ),
    "twice": (
        lambda data, clip, text: edit(
            data / TEXTS, f"{clip} {text}\n", f"{clip} {text}\n" * 2
        ),
        ":2: 103-1240-0000 is in ",
    ),
    "other chapter": (
        lambda data, clip, text: edit(data / TEXTS, clip, "104-1240-0000"),
        ":1: '104-1240-0000' is no clip of 103-1240",
    ),
    "encoding": (
        lambda data, clip, text: (data / TEXTS).write_bytes(b"a\n\xe9"),
        ":2: byte 0xe9 is not UTF-8",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_line(fault, script, data):
    spoil, expected = FAULTS[fault]
    spoil(data, *line_of(data))
    message = refused(script, data)
    assert f"{data / TEXTS}{expected}" in message


def test_all_faults_are_named_at_once(script, data):
    clip, text = line_of(data)
    edit(data / TEXTS, text, "7 8")
    other = data / "dev-clean/1272/2240/1272-2240.trans.txt"
    other.write_text(other.read_text().lower())
    message = refused(script, data)
    assert f"{data / TEXTS}:1" in message and f"{other}:1" in message


def test_words_that_no_lexicon_has_are_listed(script, data):
    edit(data / TEXTS, line_of(data)[1], "QUOTH THE RAVEN NO")
    message = refused(script, data, units="phones")
    assert message.startswith("3 words are in no lexicon:")
    for word in ("QUOTH", "RAVEN", "THE"):
        assert f"{data / TEXTS}:1: {word}\n" in message
    own = data.parent / "own.txt"
    own.write_text("QUOTH K W OW1 TH\nTHE DH AH0\nRAVEN R EY1 V AH0 N\n")
    lexicon = ["librispeech-lexicon.txt", str(own)]
    records, _ = prepare(script, data, units="phones", lexicon=lexicon)
    found = records["103-1240-0000"]["phones"]
    assert found.startswith("K W OW1 TH DH AH0 R EY1 V AH0 N")


def test_a_bad_lexicon_is_named_with_its_line(script, data):
    lexicon = data / "librispeech-lexicon.txt"
    edit(lexicon, "NO\tN OW1", "NO")
    assert f"{lexicon}:6: 'NO' has no phones" in refused(
        script, data, units="phones"
    )
    edit(lexicon, "NO\n", "NO N OW9\n")
    edit(data / TEXTS, line_of(data)[1], "NO")
    message = refused(script, data, units="phones")
    assert f"{lexicon}:6: 'NO' has the phone 'OW9'" in message


def test_a_lexicon_is_found_or_fetched(script, data, whole):
    (data / "librispeech-lexicon.txt").unlink()
    message = refused(script, data, FileNotFoundError, units="phones")
    assert "there is no" in message and "--lexicon FILE" in message
    assert "--download True fetches" in message
    url = (whole / "librispeech-lexicon.txt").as_uri()
    options = {"units": "phones", "download": True, "url": url}
    assert len(prepare(script, data, **options)[1]) == 70
    fetched = data.parent / "manifests" / "librispeech-lexicon.txt"
    assert fetched.is_file()
    assert prepare(script, data, units="phones")[1]  # it is found again


def test_a_text_with_more_units_than_frames_is_named(script, data):
    clip, text = line_of(data)
    edit(data / TEXTS, text, "O" * 200)
    message = refused(script, data)
    # 200 letters and a blank between each two
    assert f"{data / TEXTS}:1: the transcript of {clip} needs 399 frames" in (
        message
    )


def test_frames_are_those_of_the_encoder(script, data):
    """The number of letters that just fits, by the convolutions of HuBERT."""
    clip, text = line_of(data)
    frames = len(soundfile.read(data / CHAPTER / f"{clip}.flac")[0])
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, *[2] * 6)):
        frames = (frames - kernel) // stride + 1
    letters = ("AB" * frames)[:frames]
    edit(data / TEXTS, text, letters)
    prepare(script, data)
    edit(data / TEXTS, letters, f"{letters}C")
    assert f"needs {frames + 1} frames" in refused(script, data)


def test_counts_are_those_of_the_dataset(script, whole):
    message = refused(script, whole, allow_partial=False)
    assert "does not hold the whole dataset" in message
    for number in (28539, 2703, 2620, 2939):
        assert str(number) in message
    assert "2864" not in message  # dev-other is not there


def test_speakers_of_two_parts_are_told(script, data, caplog):
    old = data / "dev-clean" / "1272"
    for path in [*old.rglob("*"), old]:
        if path.is_file() and path.suffix == ".txt":
            path.write_text(path.read_text().replace("1272-", "103-"))
    for path in sorted(old.rglob("*.*")):
        path.rename(path.with_name(path.name.replace("1272-", "103-")))
    old.rename(old.with_name("103"))
    prepare(script, data)
    assert "speaker '103' is in splits train, valid" in caplog.text


def test_parts_that_are_missing_are_named(script, data):
    shutil.rmtree(data / "test-other")
    prepare(script, data)
    shutil.rmtree(data / "dev-clean")
    message = refused(script, data, FileNotFoundError)
    assert f"{data} has no dev-clean" in message
    assert "miniatures LibriSpeech DIR" in message


def test_files_elsewhere_are_named(script, data):
    file = data / "dev-clean" / "1-2-0000.flac"
    shutil.copy(next(data.rglob("*.flac")), file)
    assert str(file) in refused(script, data)


def test_damaged_sound_is_named(script, data):
    clip, _ = line_of(data)
    (data / CHAPTER / f"{clip}.flac").write_bytes(b"fLaC")
    assert f"{clip}.flac" in refused(script, data, AudioError)
    records, _ = prepare(script, data, skip_bad_audio=True)
    assert clip not in records and len(records) == 35


def test_units_that_are_none(script, whole):
    message = refused(script, whole, HparamsError, units="words")
    assert "units is 'words', which is none of: characters, phones" in message


def test_a_change_of_a_text_makes_a_new_manifest(script, data):
    out = data.parent / "manifests"
    prepare(script, data)
    edit(data / TEXTS, line_of(data)[1], "NO")
    prepare(script, data)
    assert len([*out.glob("librispeech-*.json")]) == 2


def test_another_sound_is_no_silence(data):
    """The noisy part is louder in its noise than the clean one."""

    def floor(part):
        levels = []
        for file in sorted((data / part).rglob("*.flac")):
            samples = soundfile.read(file)[0]
            frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
            level = np.sqrt((frames**2).mean(1))
            levels.append(np.quantile(level, 0.05) / level.max())
        return np.median(levels)

    assert floor("test-other") > 2 * floor("test-clean")
