"""The corpus of recorded voices for speaker verification."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules.data import HeldOutSpeakers
from petl_modules.data.prepare import read_manifest
from petl_modules.utils import DataError, read_csv, write_csv
from tools import real_voices
from tools.real_speech import LIST

ROOT = Path(__file__).resolve().parents[2]
TEST = ("asterisk-a", "asterisk-b", "ktuberling-c", "ktuberling-d")
VALID = ("klettres-e", "klettres-f")
TRAIN = ("klettres-g", "tuxpaint-h")
FEW = ("tuxpaint-few", "tuxpaint-short")


@pytest.fixture(scope="module")
def names():
    """Small sets of voices in place of those of the packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_voices, "TEST", TEST)
        patch.setattr(real_voices, "VALID", VALID)
        patch.setattr(
            real_voices, "MOST", {"train": 13, "valid": 11, "test": 12}
        )
        yield


def write_speech(folder, voices):
    """Write noise between pauses as an unpacked folder of recordings."""
    rng, rows = np.random.default_rng(0), []
    for voice in voices:
        folder.joinpath(voice).mkdir(parents=True)
        for number in range(9 if voice == "tuxpaint-few" else 16):
            pause = np.zeros(8000)
            length = 3360 if voice == "tuxpaint-short" else 8000
            # Clips 0 and 1 have too little speech
            speech = rng.uniform(-1, 1, 2000 if number < 2 else length)
            file = f"{voice}/{number}.wav"
            samples = np.concatenate([pause, speech, pause])
            soundfile.write(folder / file, 0.1 * samples + 0.001, 8000)
            row = dict.fromkeys("collection voice language text".split(), "x")
            row |= {"file": file, "english": "", "licence": "CC0-1.0"}
            row |= {"collection": voice.split("-")[0], "voice": voice}
            # Learnt from: letters of a voice that trains
            row["text"] = "ab" if voice == "tuxpaint-h" else ""
            rows.append({**row, "language": "fr", "seconds": "3.0"})
    rows.append({**rows[-1], "file": "beep.wav", "voice": ""})
    write_csv(folder / LIST, rows)
    return folder


@pytest.fixture(scope="module")
def corpus(names, tmp_path_factory):
    """The corpus of all voices, and its clips' rows."""
    place = tmp_path_factory.mktemp("voices")
    write_speech(place / "speech", (*TEST, *VALID, *TRAIN, *FEW))
    real_voices.main([str(place / "speech"), str(place / "corpus")])
    return place / "corpus", read_csv(place / "corpus" / "clips.csv")


def test_parts_are_as_named_and_small_voices_left_out(corpus):
    folder, rows = corpus
    counts = Counter((row["part"], row["voice"]) for row in rows)
    assert counts == {
        **{("test", voice): 12 for voice in TEST},
        **{("valid", voice): 11 for voice in VALID},
        **{("train", voice): 13 for voice in TRAIN},
    }
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert folders == sorted((*TEST, *VALID, *TRAIN))
    assert {row["voice"] for row in rows if row["heard"] == "1"} == {
        "tuxpaint-h"
    }


def test_clips_are_speech_of_one_rate_and_loudness(corpus):
    folder, rows = corpus
    for row in rows:
        samples, rate = soundfile.read(folder / f"{row['clip']}.wav")
        assert rate == 8000
        assert float(row["seconds"]) == pytest.approx(len(samples) / 8000, 1e-2)
        assert 1.0 <= len(samples) / 8000 < 1.2  # the second of speech
        assert np.abs(samples).max() == pytest.approx(0.9, abs=1e-3)
        assert samples.mean() == pytest.approx(0, abs=1e-3)


def test_collection_tells_nothing_about_a_trial(corpus):
    folder, rows = corpus
    voices = {row["clip"]: row["voice"] for row in rows}
    counts = Counter()
    for line in (folder / "trials.txt").read_text("utf-8").splitlines():
        label, *clips = line.split()
        one, other = (voices[clip] for clip in clips)
        assert int(label) == (one == other) and clips[0] != clips[1]
        collection, another = (v.split("-")[0] for v in (one, other))
        assert collection == another
        counts[collection, label] += 1
    assert counts == {
        (collection, label): 24
        for collection in ("asterisk", "ktuberling")
        for label in "01"
    }


def test_template_reads_the_corpus(corpus, tmp_path):
    folder, rows = corpus
    place = ROOT / "templates/speaker_verification/speaker_prepare.py"
    spec = importlib.util.spec_from_file_location("speaker_prepare", place)
    template = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(template)
    manifest, trained = template.prepare_speaker(
        folder, tmp_path, trials="trials.txt"
    )
    assert trained == sorted((*VALID, *TRAIN))
    folds, _ = HeldOutSpeakers([*VALID], seed=1)(read_manifest(manifest))
    parts = {row["clip"]: row["part"] for row in rows}
    found = {clip: part for part, clips in folds[1].items() for clip in clips}
    assert found == parts


def test_corpus_is_the_same_elsewhere(corpus, tmp_path):
    folder, rows = corpus
    write_speech(tmp_path / "other", (*TEST, *VALID, *TRAIN, *FEW))
    real_voices.main([str(tmp_path / "other"), str(tmp_path / "corpus")])
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert len(files) == len(rows) + 2
    for file in files:
        same = (tmp_path / "corpus" / file).read_bytes()
        assert (folder / file).read_bytes() == same


def test_voices_with_too_little_speech_are_named(names, tmp_path, capsys):
    write_speech(tmp_path / "speech", (*TEST, *VALID, *TRAIN, *FEW))
    real_voices.main([str(tmp_path / "speech"), str(tmp_path / "corpus")])
    told = "too little speech: tuxpaint-few, tuxpaint-short\n"
    assert told in capsys.readouterr().out


def test_missing_voice_is_named(names, tmp_path):
    write_speech(tmp_path / "speech", (*TEST[1:], *VALID, *TRAIN))
    with pytest.raises(DataError, match="lacks voices.*\n  asterisk-a\nMake"):
        real_voices.main([str(tmp_path / "speech"), str(tmp_path / "corpus")])
    assert not (tmp_path / "corpus").exists()


def test_voice_that_pretraining_hears_does_not_test(names, monkeypatch):
    with pytest.raises(DataError, match="voices that test:\n  asterisk-b\n"):
        real_voices.check_voices({*TEST, *VALID}, {"asterisk-b", "klettres-e"})
