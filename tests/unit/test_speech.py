"""The synthesis of sounds, speech and music, against what physics says."""

from dataclasses import replace

import numpy as np
import pytest

from petl_modules.miniatures.environment import SOUNDS, synthesize
from petl_modules.miniatures.music import Band
from petl_modules.miniatures.phones import CONSONANTS, PHONES, VOWELS
from petl_modules.miniatures.speech import (
    RATE,
    Voice,
    draw_voice,
    speak,
)
from petl_modules.miniatures.studio import Studio
from petl_modules.miniatures.styles import STYLES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def studio(rng):
    return Studio(rng, seconds=0.5, rate=8000)


def power(samples, rate=RATE):
    """Frequencies and the power at each."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / rate), spectrum


def share(samples, low, high, rate=RATE):
    """How much of the power is between two frequencies."""
    frequency, spectrum = power(samples, rate)
    return spectrum[(frequency >= low) & (frequency <= high)].sum() / (
        spectrum.sum()
    )


def test_noise_stays_in_its_band(studio):
    noise = studio.noise(500, 1500)
    assert noise.std() == pytest.approx(1)
    assert share(noise, 480, 1520, studio.rate) > 0.999


def test_noise_of_no_frequency_is_refused():
    studio = Studio(np.random.default_rng(0), 0.01, 16_000)
    with pytest.raises(ValueError, match="no noise from 110 to 190 Hz in 0.01"):
        studio.noise(110, 190)


def test_pink_noise_has_equal_octaves(rng):
    noise = Studio(rng, 4.0, 16000).noise(100, 6400, tilt=0.5)
    octaves = [share(noise, f, 2 * f) for f in (100, 200, 400, 1600, 3200)]
    assert max(octaves) / min(octaves) < 1.3


def test_sounds_are_placed_to_the_sample(studio, rng):
    kernel = rng.standard_normal(100)
    placed = studio.place([0.1, 0.25], kernel, [1.0, 0.5])
    expected = np.zeros(studio.samples)
    expected[800:900] += kernel
    expected[2000:2100] += 0.5 * kernel
    np.testing.assert_allclose(placed, expected, atol=1e-12)


def test_convolution_does_not_wrap(studio, rng):
    track, kernel = rng.standard_normal((2, 4000))
    expected = np.convolve(track, kernel)[: studio.samples]
    found = studio.convolve(track, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_harmonics_are_sines_below_half_the_rate(studio):
    pitch = np.full(studio.samples, 900.0)
    phase = 2 * np.pi * np.cumsum(pitch) / studio.rate
    expected = sum(k**-0.7 * np.sin(k * phase) for k in range(1, 5))
    found = studio.harmonics(pitch, 10, 0.7)  # the fifth would be 4500 Hz
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_ring_dies_away(studio):
    ring = studio.ring(0.01, 1000, 1000)
    early, late = ring[:80], ring[80:160]  # 10 ms: down to 1 / e
    assert late.std() / early.std() == pytest.approx(np.exp(-1), rel=0.02)


def test_silence_is_recorded_as_noise(studio):
    samples = studio.recorded(np.zeros(studio.samples), (10, 10))
    assert np.isfinite(samples).all() and np.abs(samples).max() >= 0.08


@pytest.mark.parametrize("sound", SOUNDS)
def test_every_sound_is_finite(sound, rng):
    samples = synthesize(sound, rng, 1.5, 16000)
    assert samples.shape == (24000,) and np.isfinite(samples).all()
    assert abs(samples.mean()) < 1e-12
    assert 0.08 <= np.abs(samples).max() <= 0.9


def test_unknown_sound_names_the_choices(rng):
    with pytest.raises(ValueError, match="'cat'.*dog, rooster"):
        synthesize("cat", rng, 1.0, 16000)


VOICE = Voice(pitch=110.0, tract=1.0, tension=0.5, breath=0.0, tempo=0.3)


@pytest.mark.parametrize("vowel", "aeiou@")
def test_vowels_have_their_formants(vowel, rng):
    """Beside the formants there is less power than at them."""
    samples, _ = speak(vowel, VOICE, rng)
    for formant in PHONES[vowel][0][3][:2]:
        near = share(samples, formant - 90, formant + 90)
        for beside in (formant - 350, formant + 350):
            assert near > share(samples, beside - 90, beside + 90) or (
                min(abs(beside - f) for f in PHONES[vowel][0][3]) < 250
            )


def pitch_of(samples):
    """Hz, by the lag at which a piece is most like itself."""
    echo = np.correlate(samples, samples, "full")[len(samples) - 1 :]
    lags = np.arange(RATE // 400, RATE // 70)
    return RATE / lags[echo[lags].argmax()]


@pytest.mark.parametrize("pitch", [90.0, 140.0, 230.0])
def test_pitch_is_the_voice_s(pitch, rng):
    samples, _ = speak("a", replace(VOICE, pitch=pitch), rng)
    assert pitch_of(samples[2000:6000]) == pytest.approx(pitch, rel=0.06)


def test_melody_moves_the_pitch(rng):
    samples, _ = speak("aaaa", VOICE, rng, melody=(1.0, 2.0))
    start, end = pitch_of(samples[:1200]), pitch_of(samples[-1200:])
    assert start == pytest.approx(110, rel=0.08)
    assert end == pytest.approx(220, rel=0.08)


@pytest.mark.parametrize("phone", "sSf")
def test_fricatives_are_noise_of_high_frequency(phone, rng):
    samples, _ = speak(phone, VOICE, rng)
    assert share(samples, 1500, 8000) > 0.9


@pytest.mark.parametrize("phone", "ptk")
def test_voiceless_stops_begin_with_silence(phone, rng):
    samples, _ = speak(phone, VOICE, rng)
    start = len(samples) // 3
    assert np.abs(samples[:start]).max() < 0.05 * np.abs(samples).max()


def test_ends_of_phones_add_up(rng):
    for word in ("no", "kitS@n layts", "tri"):
        samples, ends = speak(word, draw_voice(rng), rng)
        assert len(ends) == len(word) and (np.diff(ends) > 0).all()
        assert len(samples) == ends[-1]


def test_every_phone_is_vowel_consonant_or_pause():
    assert set(PHONES) == {*VOWELS, *CONSONANTS, " "}


def test_women_speak_higher():
    rng = np.random.default_rng(1)
    pitches = {
        sex: [draw_voice(rng, sex).pitch for _ in range(50)] for sex in "FM"
    }
    assert min(pitches["F"]) > max(pitches["M"])


# Music


def test_genres_differ_in_rhythm_harmony_and_timbre():
    for key in ("kick", "chord", "harmony"):
        assert len({str(getattr(s, key)) for s in STYLES.values()}) >= 6
    played = [
        (s.kick, s.snare, s.chord, str(s.harmony)) for s in STYLES.values()
    ]
    assert len({*played}) == len(STYLES) == 10
    for style in STYLES.values():
        for name in ("kick", "snare", "hat", "bass", "chord"):
            pattern = getattr(style, name)
            assert len(pattern) == 16 and {*pattern} <= {*"x."}


def test_a_bar_is_struck_at_its_steps(rng):
    band = Band(STYLES["disco"], Studio(rng, seconds=4.0, rate=8000))
    beats = band.times("x...x...x...x...", 0)
    assert 60 / 130 < np.diff(beats).mean() < 60 / 112
    assert band.start <= 0 < band.start + 16 * band.step
    late = Band(STYLES["jazz"], Studio(rng, seconds=4.0, rate=8000))
    first, second, third = late.times("x.x.x...........", 0)
    assert (second - first) / (third - first) == pytest.approx(0.66, abs=0.1)


def test_a_note_has_its_pitch_and_decay(rng):
    band = Band(STYLES["pop"], Studio(rng, seconds=1.0, rate=RATE))
    note = band.note(pitch=440.0, slope=1.0, decay=0.3, attack=0.005)
    assert share(note, 430, 450) > 0.5
    tenth = RATE // 10
    early, late = (np.abs(note[i * tenth : (i + 1) * tenth]) for i in (1, 4))
    assert late.max() / early.max() == pytest.approx(np.exp(-1), rel=0.05)
