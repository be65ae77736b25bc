"""Changes of recorded speech, against what a tone must become."""

import numpy as np
import pytest
import soundfile

from petl_modules.utils import DataError
from tools.changed_speech import RATE, change, read_speech


def tone(hertz, seconds, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hertz * time).astype("float32")


def loudest(samples):
    """The frequency that is loudest, in Hz."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return power.argmax() * RATE / len(samples)


@pytest.mark.parametrize("slower", [0.8, 1.0, 1.25])
def test_a_slower_clip_has_a_lower_pitch(slower):
    for seed in range(5):
        length = round(RATE * slower)
        rng = np.random.default_rng(seed)
        clip = change(tone(1000, 1.0), length, rng)
        assert clip.shape == (length,) and clip.dtype == np.float32
        assert clip.mean() == pytest.approx(0, abs=1e-4)
        assert clip.std() == pytest.approx(1, abs=1e-4)
        assert loudest(clip) == pytest.approx(1000 / slower, abs=8)


def test_the_generator_decides_everything():
    clip = tone(500, 0.5)
    drawn = [change(clip, 7000, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_silence_around_speech_is_cut(rate, tmp_path):
    spoken = 0.3 * tone(700, 0.5, rate)
    before, after = np.zeros(rate), np.zeros(rate // 2)
    both = np.stack([np.concatenate([before, spoken, after])] * 2, 1)
    soundfile.write(tmp_path / "clip.wav", both, rate)
    clip = read_speech(tmp_path / "clip.wav")
    assert len(clip) / RATE == pytest.approx(0.05 + 0.5 + 0.1, abs=0.03)
    assert loudest(clip) == pytest.approx(700, abs=8)
    assert clip.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("samples", [0, 100, 16000])
def test_a_silent_or_very_short_clip_is_named(samples, tmp_path):
    silence = np.full(samples, 0.0 if samples == 16000 else 0.1)
    soundfile.write(tmp_path / "clip.wav", silence, RATE)
    with pytest.raises(DataError, match="clip.wav is silent, or shorter"):
        read_speech(tmp_path / "clip.wav")


def test_a_file_that_is_no_sound_is_named(tmp_path):
    (tmp_path / "clip.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="clip.wav: no sound"):
        read_speech(tmp_path / "clip.wav")
