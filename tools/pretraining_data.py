"""What the small backbones learn from: sounds and speech of no recipe's class.

Sounds are of six kinds of source, with random numbers for how high, how long
and how often. Speech is pseudo-words: random syllables by random speakers, in
a random melody. None of them is a word of the miniatures.
"""

import numpy as np

from petl_modules.miniatures.phones import CONSONANTS, PHONES, VOWELS
from petl_modules.miniatures.speech import (
    RATE,
    draw_voice,
    speak,
)
from petl_modules.miniatures.studio import Studio
from petl_modules.miniatures.words import WORDS

NUMBERS = {phone: i + 1 for i, phone in enumerate(PHONES)}  # 0: none
# Kinds of source
SOURCES = ("voice", "rings", "bursts", "buzz", "glide", "bed")
# What is asked about a speaker and a melody, and how many answers there are
MANNER = {"pitch": 6, "slope": 3, "tempo": 3, "tension": 3}


def sound(kind, rng, seconds):
    """A clip of a kind of source, and perhaps another one behind it.

    Arguments
    ---------
    kind : int
        Index of the source in ``SOURCES``.
    rng : numpy.random.Generator
        Source of the draws.
    seconds : float
        Length of the clip.

    Returns
    -------
    numpy.ndarray
        ``[seconds * 16000]``.
    """
    studio = Studio(rng, seconds, RATE)
    total = _unit(_layer(studio, SOURCES[kind]))
    if rng.integers(2):
        behind = _layer(studio, rng.choice(SOURCES))
        total = total + rng.uniform(0.1, 0.4) * _unit(behind)
    total = studio.room(total, rng.uniform(0.1, 0.6), rng.uniform(0, 0.4))
    return studio.recorded(total, (0, 25))


def _unit(track):
    return track / (track.std() + 1e-9)


def _layer(s, source):
    """A track of one source with random numbers."""
    low = np.exp(s.rng.uniform(np.log(80), np.log(3000)))
    high = low * 2 ** s.rng.uniform(0.5, 5)
    tilt, length = s.rng.uniform(0, 0.9), np.exp(s.rng.uniform(-5.5, -0.7))
    per_second = np.exp(s.rng.uniform(np.log(0.7), np.log(25)))
    if s.rng.integers(2):
        times = s.beats(per_second, 0.02)
    else:
        number = 1 + s.rng.poisson(per_second * s.seconds)
        times = s.rng.uniform(0, s.seconds, number)
    if source == "voice":
        bend = s.rng.uniform(-0.5, 0.8)
        return s.voice(times, max(length, 0.05), min(low, 1200), bend, tilt)
    if source == "rings":
        gains = s.rng.exponential(1.0, len(times))
        return s.place(times, s.ring(min(length, 0.1), low, low), gains)
    if source == "bursts":
        bump = s.bump(length, s.rng.uniform(0.02, 0.9))
        return s.place(times, bump) * s.noise(low, high, tilt)
    sway = np.exp(s.rng.uniform(np.log(0.2), np.log(8)))
    sway = np.sin(2 * np.pi * (sway * s.time + s.rng.uniform()))
    sway = s.rng.uniform(0, 1) * sway
    if source == "bed":
        return (1 + sway) * s.noise(low, high, tilt)
    slope = s.rng.uniform(0.2, 1.2)
    if source == "buzz":
        return s.harmonics(min(low, 400) * 2 ** (0.05 * sway), 20, slope)
    return s.harmonics(low * 2 ** (0.4 * sway), 20, slope)


def pseudo_word(rng, longest):
    """Phones of up to ``longest`` random syllables, of no miniature's word."""
    while True:
        word = ""
        for _ in range(rng.integers(1, longest + 1)):
            first, last = rng.choice(list(CONSONANTS), 2)
            vowel = rng.choice(list(VOWELS))
            shapes = (first + vowel, vowel + last, first + vowel + last)
            word += str(rng.choice(shapes))
        if word not in WORDS.values():
            return word


def utterance(rng, seconds):
    """Speech in a clip of some length.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of the draws.
    seconds : float
        Length of the clip.

    Returns
    -------
    samples : numpy.ndarray
        ``[seconds * 16000]``.
    manner : list of int
        The answers to the questions of ``MANNER``.
    phones : numpy.ndarray
        Number of the phone that is heard at each sample, 0 for none.
    """
    voice = draw_voice(rng)
    voice.tempo *= np.exp(rng.uniform(-0.6, 0.1))
    voice.tension = rng.uniform(0, 1)
    level, slope = np.exp(rng.uniform(-0.25, 0.4)), rng.uniform(-0.5, 0.5)
    melody = level * np.exp(slope * np.array([-0.5, 0.0, 0.5]))
    melody[1] *= np.exp(rng.uniform(-0.2, 0.3))
    loudness = np.exp(rng.uniform(-0.5, 0.5, 3))
    while True:
        word = pseudo_word(rng, 1 + round(min(seconds, 2.5) * 1.2))
        samples, ends = speak(word, voice, rng, melody, loudness)
        if len(samples) < seconds * RATE:
            break
        voice.tempo *= 1.1
    studio = Studio(rng, seconds, RATE)
    start = rng.integers(0, studio.samples - len(samples))
    track, phones = np.zeros(studio.samples), np.zeros(studio.samples, "u1")
    track[start : start + len(samples)] = samples
    begin = start
    for phone, end in zip(word, start + ends):
        phones[begin:end], begin = NUMBERS[phone], end
    octaves = np.log2(voice.pitch * level / 80)
    manner = [
        int(np.clip(octaves * 3, 0, 5)),
        int(np.digitize(slope, [-0.17, 0.17])),
        int(np.digitize(voice.tempo, [0.67, 0.9])),
        int(np.digitize(voice.tension, [0.33, 0.67])),
    ]
    track = studio.room(track, rng.uniform(0.1, 0.5), rng.uniform(0, 0.3))
    return studio.recorded(track, (5, 30)), manner, phones
