"""Formant synthesis of speech: phones, voices and the melody of a sentence.

A source (pulses of the glottis, noise) passes a filter whose resonances, the
formants, move from phone to phone (G. Fant, Acoustic Theory of Speech
Production, 1960).
"""

from dataclasses import dataclass

import numpy as np

from petl_modules.miniatures.phones import PHONES

RATE = 16000
HOP = 80  # samples: the filter changes every 5 ms
WINDOW = 320
SIZE = 512
BANDWIDTHS = np.array([70.0, 100.0, 160.0, 220.0, 280.0])
UPPER = [3500.0, 4500.0]  # fourth and fifth formant, the same in every phone


@dataclass
class Voice:
    """A speaker's voice.

    Arguments
    ---------
    pitch : float
        Usual pitch in Hz.
    tract : float
        Factor of all formants: 1 for a vocal tract of 17 cm, more for a
        shorter one.
    tension : float
        Strength of the glottis's overtones, 0 to 1.
    breath : float
        Level of noise in vowels.
    tempo : float
        Speed of speech, 1 as in ``PHONES``.
    """

    pitch: float
    tract: float
    tension: float
    breath: float
    tempo: float


def draw_voice(rng, sex=None):
    """Draw a speaker's voice.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of the draws.
    sex : str, optional
        ``F`` or ``M``. Default: drawn at random.

    Returns
    -------
    Voice
    """
    sex = sex or rng.choice(["F", "M"])
    low, high = (165, 255) if sex == "F" else (85, 150)
    return Voice(
        pitch=rng.uniform(low, high),
        tract=rng.uniform(1.08, 1.24) if sex == "F" else rng.uniform(0.9, 1.06),
        tension=rng.uniform(0.3, 0.7),
        breath=rng.uniform(0.01, 0.06),
        tempo=rng.uniform(0.85, 1.2),
    )


def speak(phones, voice, rng, melody=(1.0, 1.0), loudness=(1.0, 1.0)):
    """Synthesise speech.

    Arguments
    ---------
    phones : str
        Keys of ``PHONES`` in their order; a space is a pause.
    voice : Voice
        The speaker's voice.
    rng : numpy.random.Generator
        Source of noise and of small irregularities.
    melody : sequence of float
        Factors of the voice's pitch at equal steps from start to end, with
        straight lines between them.
    loudness : sequence of float
        Factors of the amplitude, in the same way.

    Returns
    -------
    samples : numpy.ndarray
        ``[samples]`` at 16 kHz, of standard deviation 1.
    ends : numpy.ndarray
        Where each phone ends, in samples, ``[phones]``.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> samples, ends = speak("yes", draw_voice(rng), rng)
    >>> len(samples) - int(ends[-1])
    0
    """
    parts, ends = [], []
    for phone in phones:
        stretch = rng.uniform(0.8, 1.25) / voice.tempo
        for seconds, *part in PHONES[phone]:
            count = max(1, round(seconds * stretch * RATE / HOP))
            parts += [_numbers(part)] * count
        ends.append(len(parts) * HOP)
    values = np.array(parts)
    levels = _smooth(values[:, :2], 3)
    formants = _smooth(values[:, 2:5], 9)
    places = np.linspace(0, 1, len(values))

    def along(factors):
        return np.interp(places, np.linspace(0, 1, len(factors)), factors)

    wobble = np.exp(0.015 * _smooth(rng.standard_normal((len(values), 1)), 5))
    pitch = voice.pitch * along(melody) * wobble[:, 0]
    bins = np.fft.rfftfreq(SIZE, 1 / RATE)
    voiced = _resonances(bins, formants, voice) * _glottis(bins, voice)
    aspirated = voice.breath * np.sqrt(np.clip(levels[:, :1], 0, 1))
    octaves = np.log2(np.maximum(bins, 20) / values[:, 5:6])
    hiss = np.exp(-0.5 * (octaves / values[:, 6:7]) ** 2)
    gains = along(loudness)[:, None]
    total = len(values) * HOP
    noise = rng.standard_normal(total)
    pulses = _pulses(np.repeat(pitch, HOP))
    samples = _filtered(pulses, gains * levels[:, :1] * voiced)
    samples += _filtered(noise, gains * (levels[:, 1:2] * hiss * 0.25))
    samples += _filtered(noise, gains * (aspirated * voiced * 0.05))
    return samples / samples.std(), np.array(ends)


def _numbers(part):
    """Return a part of a phone as a row of seven numbers."""
    voice, noise, formants, centre, width = part
    return [voice, noise, *formants, centre, width]


def _smooth(columns, frames):
    """Smooth each column with a triangular window of about ``frames``."""
    kernel = np.bartlett(frames + 2)[1:-1]
    kernel /= kernel.sum()
    half = frames // 2
    padded = np.pad(columns, ((half, frames - 1 - half), (0, 0)), mode="edge")
    return np.stack(
        [np.convolve(column, kernel, mode="valid") for column in padded.T], 1
    )


def _resonances(bins, formants, voice):
    """Return the gain of the vocal tract, ``[frames, bins]``."""
    upper = np.broadcast_to(UPPER, (len(formants), len(UPPER)))
    centres = voice.tract * np.concatenate([formants, upper], 1)[:, :, None]
    widths = BANDWIDTHS[None, :, None]
    ratio = centres**2 / np.sqrt(
        (centres**2 - bins**2) ** 2 + (widths * bins) ** 2
    )
    return ratio.prod(1)


def _glottis(bins, voice):
    """Return the gain of glottis and lips, ``[bins]``."""
    corner = 150 + 900 * voice.tension
    rise = bins / (bins + 100)
    return rise / (1 + (bins / corner) ** 2) ** 0.55


def _pulses(pitch):
    """Return one pulse a period, split between the two nearest samples."""
    phase = np.cumsum(pitch) / RATE
    last = np.flatnonzero(np.diff(np.floor(phase)))
    after = (phase[last + 1] - np.floor(phase[last + 1])) / (
        phase[last + 1] - phase[last]
    )
    pulses = np.zeros(len(pitch))
    strength = np.sqrt(RATE / pitch[last])  # the same power at every pitch
    np.add.at(pulses, last + 1, strength * (1 - after))
    np.add.at(pulses, last, strength * after)
    return pulses


def _filtered(source, gains):
    """Filter a source with gains that change every ``HOP`` samples."""
    total = len(source)
    padded = np.pad(source, (WINDOW // 2, SIZE))
    starts = np.arange(len(gains)) * HOP
    blocks = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    blocks = np.fft.irfft(np.fft.rfft(blocks, SIZE) * gains, SIZE)
    # Zero phase: the part left of the block is wrapped around to its end
    blocks = np.roll(blocks, (SIZE - WINDOW) // 2, axis=1)
    out = np.zeros(total + 2 * SIZE)
    for j in range(0, SIZE, HOP):
        piece = blocks[:, j : j + HOP]
        width = piece.shape[1]
        flat = np.zeros((len(gains), HOP))
        flat[:, :width] = piece
        out[j : j + len(gains) * HOP] += flat.ravel()
    start = WINDOW // 2 + (SIZE - WINDOW) // 2
    return out[start : start + total] * HOP / (WINDOW / 2)
