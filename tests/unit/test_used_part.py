"""Preparation judges the part of a clip that features are made of."""

import tracemalloc

import numpy as np
import pytest
import soundfile

from petl_modules.data import FilterBank, UsedPart, Waveform, check_audio
from petl_modules.data.levels import CANCELS, DEAD, OFFSET, SILENT
from petl_modules.data.prepare import finish, make_folds, read_manifest
from petl_modules.utils import AudioError, DataError

RATE = 16000
TONE = 0.3 * np.sin(np.arange(RATE) / 5)
NOISE = 0.1 * np.random.default_rng(0).standard_normal((12, RATE))
ONE_SECOND = Waveform(1.0)


def prepared(tmp_path, clips, features=ONE_SECOND, n_folds=None, rate=RATE):
    """The manifest of clips ``{class/name: samples}``."""
    records = {}
    for name, samples in clips.items():
        path = tmp_path / "data" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype="FLOAT")
        records[name] = {"wav": f"{name}.wav", "label": name.split("/")[0]}
    manifest = finish(
        "Sounds",
        tmp_path / "data",
        tmp_path / "out",
        records,
        allow_partial=True,
        n_folds=n_folds,
        features=features,
    )
    return read_manifest(manifest)


def joined(*parts):
    return np.concatenate(parts)


ODD = {
    SILENT: 0 * np.stack([TONE, TONE], 1),
    CANCELS: np.stack([TONE, -TONE], 1),
    DEAD: np.stack([TONE, 0 * TONE], 1),
    OFFSET: np.stack([TONE, TONE], 1) + 0.2,
}
FINE = np.stack([TONE, TONE], 1)


@pytest.mark.parametrize("remark", ODD)
def test_what_is_odd_in_the_used_part_is_told(remark, tmp_path, caplog):
    """A long fine rest does not hide it."""
    prepared(tmp_path, {"cat/a": joined(ODD[remark], *[FINE] * 5)})
    assert f"1 of 1 clips: {remark}:\n  cat/a" in caplog.text


@pytest.mark.parametrize("remark", ODD)
def test_what_is_odd_behind_it_is_not(remark, tmp_path, caplog):
    clip = joined(FINE, *[ODD[remark]] * 5)
    prepared(tmp_path, {"cat/a": clip, "cat/b": NOISE[0]})
    assert not caplog.text


def test_another_part_is_judged_anew(tmp_path, caplog):
    clips = {"cat/a": joined(TONE, TONE + 0.5)}
    prepared(tmp_path, clips)
    assert not caplog.text
    prepared(tmp_path, clips, Waveform(2.0))
    assert OFFSET in caplog.text


def test_level_of_a_class_is_that_of_the_used_part(tmp_path, caplog):
    clips = {f"cat/{i}": joined(NOISE[i], NOISE[i]) for i in range(3)}
    clips |= {
        f"dog/{i}": joined(NOISE[i] / 100, NOISE[i], NOISE[i])
        for i in range(3, 6)
    }
    prepared(tmp_path, clips)
    assert "dog: 39 dB quieter" in caplog.text


def test_equal_beginnings_are_one_sound(tmp_path, caplog):
    """Of a clip that is longer than the part, and of one that is not."""
    clips = {"cat/a": joined(TONE, NOISE[0]), "dog/b": joined(TONE, NOISE[1])}
    for features in (None, Waveform(1.5)):
        prepared(tmp_path, clips, features)
    with pytest.raises(DataError, match=r"cat/a \(cat\) = dog/b \(dog\)"):
        prepared(tmp_path, clips)
    clips = {"cat/a": TONE, "dog/b": joined(TONE, NOISE[1])}
    with pytest.raises(DataError, match=r"cat/a \(cat\) = dog/b \(dog\)"):
        prepared(tmp_path, clips)


def test_silent_beginnings_of_two_classes_are_refused(tmp_path):
    clips = {
        f"{label}/a": joined(0 * TONE, NOISE[i])
        for i, label in enumerate(["cat", "dog"])
    }
    with pytest.raises(DataError, match="silence, too"):
        prepared(tmp_path, clips)


def test_one_more_sample_makes_another_sound(tmp_path):
    other = TONE.copy()
    other[-1] += 0.01
    prepared(tmp_path, {"cat/a": TONE, "dog/b": joined(other, TONE)})
    shorter = {"cat/a": TONE[:-1], "dog/b": joined(TONE, TONE)}
    prepared(tmp_path, shorter)


def test_clips_of_equal_beginnings_stay_in_one_fold(tmp_path):
    clips = {f"cat/{i}": noise for i, noise in enumerate(NOISE[:6])}
    clips |= {"cat/a": joined(TONE, TONE), "cat/b": joined(TONE, NOISE[9])}
    clips |= {"cat/c": TONE}
    records = prepared(tmp_path, clips, n_folds=3)
    assert len({records[f"cat/{name}"]["fold"] for name in "abc"}) == 1
    assert "used_digest" not in records["cat/c"]
    make_folds(records, 3)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_part_is_counted_at_the_rate_of_the_file(rate, tmp_path):
    bank = FilterBank(100)  # 1.015 s
    count = UsedPart.of(bank).count(rate)
    assert count == -(-1015 * rate // 1000)
    path = tmp_path / "a.wav"
    for behind in (0, 1):
        soundfile.write(path, np.tile(TONE, 4)[: count + behind], rate)
        [facts] = check_audio([path], None, features=bank)
        assert bool(facts.used_digest) == bool(behind)
    soundfile.write(path, np.tile(TONE, 4)[:count], rate)
    assert check_audio([path], None)[0].digest == facts.used_digest


def test_it_does_not_matter_how_blocks_fall(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, joined(*NOISE[:4]), RATE)
    wanted = check_audio([path], None, features=ONE_SECOND)
    for block in (1000, 1001, RATE, 4 * RATE):
        monkeypatch.setattr("petl_modules.data.decoding.BLOCK", block)
        assert check_audio([path], None, features=ONE_SECOND) == wanted


def test_a_file_is_opened_once_and_needs_little_memory(tmp_path, monkeypatch):
    path, opened = tmp_path / "a.wav", []
    soundfile.write(path, np.tile(NOISE.ravel(), 20), RATE)  # 15 MB
    from petl_modules.data import checking

    def decode(path):
        opened.append(path)
        return real(path)

    real = checking.decode
    monkeypatch.setattr(checking, "decode", decode)
    tracemalloc.start()
    check_audio([path], None, features=Waveform(200.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened == [path] and peak < 5e6


@pytest.mark.parametrize(
    ("rate", "samples", "wanted"),
    [(16000, 1, 4000), (48000, 1, 16000), (16000, 2, 1000)],
)
def test_clip_without_a_sample_at_the_rate_of_the_features(
    rate, samples, wanted, tmp_path
):
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE[:samples], rate)
    reason = f"too short to hold a sample at {wanted} Hz"
    features = Waveform(1.0, sample_rate=wanted)
    with pytest.raises(AudioError, match=reason):
        check_audio([path], None, features=features)
    soundfile.write(path, TONE[:400], rate)
    check_audio([path], None, features=features)
