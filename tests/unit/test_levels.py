"""Levels of clips and of classes are told before training."""

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


def peaks(**levels):
    return {
        name: [level, level * 1.5, level / 2] for name, level in levels.items()
    }


@pytest.mark.parametrize("factor", [10, 0.1, 0.001])
@pytest.mark.parametrize("others", [1, 2, 9])
def test_class_at_another_scale_is_told(factor, others):
    levels = {f"class {i}": 0.3 for i in range(others)}
    lines = odd_classes(peaks(**levels, odd=0.3 * factor))
    how = "louder" if factor > 1 else "quieter"
    assert any(line.startswith("odd: ") and how in line for line in lines)
    assert len(lines) == (1 if others > 1 else 2)


@pytest.mark.parametrize(
    "levels", [{"a": 0.3}, {"a": 0.3, "b": 0.1}, {"a": 0.9, "b": 0.2, "c": 0.5}]
)
def test_classes_at_like_scales_are_not(levels):
    assert odd_classes(peaks(**levels)) == []


def test_few_clips_say_nothing_on_a_class():
    assert odd_classes({"a": [0.3, 0.3], "b": [0.001, 0.001]}) == []


def test_only_the_part_that_is_used_is_judged(tmp_path):
    path = written(tmp_path, np.concatenate([0 * TONE] * 6 + [TONE]))
    remarks = read_clip(path, RATE, 5 * RATE).remarks
    assert SILENT in remarks and "longer than 5 s" in remarks[-1]
    assert read_clip(path, RATE, 7 * RATE).remarks == []
