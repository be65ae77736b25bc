"""Levels of clips and of classes are told before training."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules.data import check_audio, read_audio, read_clip
from petl_modules.data.levels import (
    CANCELS,
    DEAD,
    OFFSET,
    SILENT,
    odd_classes,
)
from petl_modules.utils import AudioError

REAL = Path(os.environ.get("PETL_REAL_AUDIO", "none"))
RATE = 16000
TONE = 0.3 * np.sin(np.arange(RATE) / 5)
OTHER = 0.3 * np.sin(np.arange(RATE) / 7)
NOISE = 0.1 * np.random.default_rng(0).standard_normal((RATE, 16))


def written(tmp_path, *channels, subtype="FLOAT"):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.stack(channels, 1), RATE, subtype=subtype)
    return path


ODD = {
    "opposite": ([TONE, -TONE], [CANCELS]),
    "opposite, 16 bit": ([TONE, -TONE], [CANCELS]),
    "nearly opposite": ([TONE, -0.9 * TONE], [CANCELS]),
    "half opposite": ([TONE, -0.5 * TONE], [CANCELS]),
    "opposite beside a little noise": (
        [TONE + 0.05 * NOISE[:, 0], -TONE + 0.05 * NOISE[:, 1]],
        [CANCELS],
    ),
    "two of three": ([TONE, -TONE, 0.2 * OTHER], [CANCELS]),
    "two of three, the third dead": ([TONE, -TONE, 0 * TONE], [CANCELS, DEAD]),
    "two of three, the third as loud": ([TONE, -TONE, OTHER], [CANCELS]),
    "two of four": ([TONE, -TONE, OTHER, OTHER], [CANCELS]),
    "opposite, with offsets": ([TONE + 0.2, -TONE - 0.2], [CANCELS]),
    "one dead": ([TONE, 0 * TONE], [DEAD]),
    "5.1": ([TONE, TONE, OTHER, 0 * TONE, OTHER, OTHER], [DEAD]),
    "silence": ([0 * TONE], [SILENT]),
    "silence of two": ([0 * TONE, 0 * TONE], [SILENT]),
    "nearly silence": ([TONE / 32768], [SILENT]),
    "a constant": ([0 * TONE + 0.9], [SILENT]),
    "an offset": ([TONE + 0.1], [OFFSET]),
    "an offset of one channel": ([TONE, TONE - 0.3], [OFFSET]),
}
FINE = {
    "mono": [TONE],
    "stereo": [TONE, TONE],
    "quiet": [TONE / 300],
    "clipped a little": [4 * TONE],
    "unlike channels": [TONE, OTHER],
    "16 unlike channels": list(NOISE.T),
    "one channel quieter": [TONE, TONE / 100],
    "one of three turned": [TONE, TONE, -TONE],
    "a little offset": [TONE + 0.01],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_levels_are_told(name, tmp_path):
    channels, remarks = ODD[name]
    subtype = "PCM_16" if "16 bit" in name else "FLOAT"
    path = written(tmp_path, *channels, subtype=subtype)
    assert list(check_audio([path], None)[0].remarks) == remarks
    assert read_clip(path).remarks == remarks


@pytest.mark.parametrize("name", FINE)
def test_ordinary_levels_are_not(name, tmp_path):
    path = written(tmp_path, *FINE[name])
    assert check_audio([path], None)[0].remarks == ()
    assert read_clip(path).remarks == []


@pytest.mark.parametrize("factor", [60, 127, 32768, 2**31, 1e30, 1e37])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_far_outside_are_refused(factor, channels, tmp_path):
    path = written(tmp_path, *[TONE * factor] * channels)
    for read in (read_audio, read_clip, lambda path: check_audio([path])):
        with pytest.raises(AudioError, match="samples reach .* Divide"):
            read(path)


def test_sample_far_outside_in_one_channel(tmp_path):
    """Their mean is not far outside."""
    path = written(tmp_path, TONE + 20, TONE - 20)
    with pytest.raises(AudioError, match="samples reach 20.3"):
        read_audio(path)


def spread(**levels):
    return {
        name: [level, level + 4, level - 6] for name, level in levels.items()
    }


@pytest.mark.parametrize("difference", [20, -20, -60])
@pytest.mark.parametrize("others", [1, 2, 9])
def test_class_at_another_scale_is_told(difference, others):
    levels = {f"class {i}": -15 for i in range(others)}
    lines = odd_classes(spread(**levels, odd=-15 + difference))
    how = "louder" if difference > 0 else "quieter"
    assert f"odd: {abs(difference)} dB {how}" in lines
    assert len(lines) == (1 if others > 1 else 2)


@pytest.mark.parametrize(
    "levels", [{"a": -10}, {"a": -10, "b": -27}, {"a": -5, "b": -20, "c": -9}]
)
def test_classes_at_like_scales_are_not(levels):
    assert odd_classes(spread(**levels)) == []


def test_few_clips_say_nothing_on_a_class():
    assert odd_classes({"a": [-10, -10], "b": [-50, -50]}) == []


def level_of(tmp_path, samples):
    return check_audio([written(tmp_path, samples)], None)[0].level


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.5, 1, 30])
def test_level_of_a_tone_is_its_root_mean_square(seconds, tmp_path):
    """Whatever the number of blocks."""
    times = np.arange(int(seconds * RATE)) / RATE
    for amplitude in (0.5, 0.005):
        tone = amplitude * np.sin(2 * np.pi * 1000 * times)
        wanted = 20 * np.log10(amplitude / np.sqrt(2))
        assert abs(level_of(tmp_path, tone) - wanted) <= 0.6


@pytest.mark.parametrize("seconds", [1, 5])
def test_clicks_do_not_hide_a_level(seconds, tmp_path):
    """One at the begin, one at the end, or a constant added to all."""
    tone = np.tile(TONE / 100, seconds)
    for changed in (tone.copy(), tone + 0.5):
        changed[:3] = changed[-3:] = 1
        assert level_of(tmp_path, changed) == level_of(tmp_path, tone)


def test_level_of_sparse_sounds_is_that_of_the_sound(tmp_path):
    """0.2 s in 5 s."""
    sparse = np.zeros(5 * RATE)
    sparse[30_000:33_200] = TONE[:3200]
    assert abs(level_of(tmp_path, sparse) - level_of(tmp_path, TONE)) <= 1
    assert level_of(tmp_path, 0 * TONE) == -120


@pytest.mark.skipif(not REAL.is_dir(), reason="needs real audio")
@pytest.mark.parametrize("pattern", ["ESC-50-master/audio/*", "speech*/*/*"])
def test_no_class_of_real_audio_is_odd(pattern):
    """A few clips of each, with the labels of the file names."""
    levels = {}
    for path in sorted(REAL.glob(f"{pattern}.wav")):
        is_word = path.parent.name != "audio"
        label = path.parent.name if is_word else path.stem.split("-")[-1]
        clips = levels.setdefault(label, [])
        if len(clips) < 8:
            clips.append(check_audio([path], None)[0].level)
    assert len(levels) == 10 and odd_classes(levels) == []


def test_only_the_part_that_is_used_is_judged(tmp_path):
    path = written(tmp_path, np.concatenate([0 * TONE] * 6 + [TONE]))
    remarks = read_clip(path, RATE, 5 * RATE).remarks
    assert SILENT in remarks and "longer than 5 s" in remarks[-1]
    assert read_clip(path, RATE, 7 * RATE).remarks == []
