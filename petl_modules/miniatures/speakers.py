"""Plan a miniature of VoxCeleb1: speakers, each in a few videos.

A speaker is known by the voice (pitch, formants, timbre, breath) and by habits
(tempo, melody, pauses). A video has a channel of its own (band, room,
noise), and each clip other words, so that what is equal in two clips of one
speaker must be learnt.
"""

from dataclasses import dataclass, replace
from functools import partial
from string import ascii_letters, digits

import numpy as np

from petl_modules.miniatures.plan import Plan
from petl_modules.miniatures.speech import RATE, Voice, draw_voice, speak
from petl_modules.miniatures.studio import Studio
from petl_modules.miniatures.words import WORDS

# The first ids of the dev part and of the test part
PARTS = {"dev": (10001, 16), "test": (10270, 8)}
VIDEOS = 3  # of each speaker
SECONDS = (2.0, 4.0)  # of a clip
TRIALS = 4  # of either kind for each clip of the test part, at most
BANDS = np.array([60, 150, 400, 1000, 2200, 3600, 5500, 8000])  # Hz
NAME = [*ascii_letters, *digits, "_", "-"]  # characters of a video's name


@dataclass
class Speaker:
    """A speaker's voice and habits.

    Arguments
    ---------
    voice : petl_modules.miniatures.speech.Voice
        The usual voice.
    timbre : numpy.ndarray
        Gains of the voice in dB at ``BANDS``.
    slope, bow : float
        Fall and swing of the melody within a phrase, in log pitch.
    pause : float
        Share of words that a pause follows.
    stress : float
        Strength of the loudness's swing.
    """

    voice: Voice
    timbre: np.ndarray
    slope: float
    bow: float
    pause: float
    stress: float


@dataclass
class Channel:
    """How a video was recorded.

    Arguments
    ---------
    seed : tuple of int
        Seed of the room.
    gains : numpy.ndarray
        Gains in dB at ``BANDS``.
    reverberation, share : float
        Seconds of the room's reverberation and its share of the sound.
    tilt, ratio : float
        Tilt of the noise, and signal-to-noise ratio in dB.
    """

    seed: tuple
    gains: np.ndarray
    reverberation: float
    share: float
    tilt: float
    ratio: float


def voxceleb1(seed, takes=4):
    """Plan 288 clips of 2 to 4 s: 24 speakers, three videos, some takes each."""
    plan, tested, split = Plan(), {}, []
    for part, (first, count) in PARTS.items():
        for number in range(first, first + count):
            rng = np.random.default_rng((seed, 40, number))
            speaker = draw_speaker(rng, "FM"[number % 2])
            for video in range(VIDEOS):
                letters = np.random.default_rng((43, number, video))
                name = "".join(letters.choice(NAME, 11))
                channel = draw_channel(rng, (seed, 41, number, video))
                for take in range(takes):
                    clip = f"id{number}/{name}/{take + 1:05}.wav"
                    draw = partial(talk, speaker, channel)
                    plan.sounds[f"wav/{clip}"] = RATE, draw
                    use = 1 if video < VIDEOS - 1 else 2 + take % 2
                    split.append(f"{use} {clip}\n")
                    if part == "test":
                        tested[clip] = number, video
    plan.texts["veri_test2.txt"] = "".join(_trials(tested, seed))
    plan.texts["iden_split.txt"] = "".join(split)
    return plan


def draw_speaker(rng, sex=None):
    """Draw a speaker; ``sex`` is ``F``, ``M``, or drawn."""
    voice = draw_voice(rng, sex)
    return Speaker(
        voice=replace(voice, tract=voice.tract + rng.uniform(-0.08, 0.08)),
        timbre=rng.normal(0, 6, len(BANDS)),
        slope=rng.uniform(-0.5, 0.2),
        bow=rng.uniform(-0.15, 0.25),
        pause=rng.uniform(0.1, 0.7),
        stress=rng.uniform(0, 0.5),
    )


def draw_channel(rng, seed):
    """Draw a video's channel."""
    gains = rng.normal(0, 1.5, len(BANDS))
    gains[0] -= rng.uniform(0, 6)
    gains[-2:] -= rng.uniform(0, 6) * np.array([0.5, 1])
    return Channel(
        seed=seed,
        gains=gains,
        reverberation=rng.uniform(0.1, 0.6),
        share=rng.uniform(0, 0.25),
        tilt=rng.uniform(0.2, 0.8),
        ratio=rng.uniform(15, 30),
    )


def talk(speaker, channel, rng):
    """Synthesise a clip: words at random, by a speaker, through a channel.

    Arguments
    ---------
    speaker : Speaker
        Who speaks.
    channel : Channel
        The video's channel.
    rng : numpy.random.Generator
        Source of all other draws: words, mood, noise, level.

    Returns
    -------
    samples : numpy.ndarray
        Of 2 to 4 s at 16 kHz, mean 0, peak between 0.25 and 0.9.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> channel = draw_channel(rng, seed=(1,))
    >>> samples = talk(draw_speaker(rng), channel, rng)
    >>> 2 * RATE <= len(samples) <= 4 * RATE
    True
    """
    count = round(rng.uniform(*SECONDS) * RATE)
    mood = np.exp(0.07 * rng.standard_normal(3))
    voice = replace(
        speaker.voice,
        pitch=speaker.voice.pitch * mood[0],
        tempo=speaker.voice.tempo * mood[1],
        breath=speaker.voice.breath * mood[2],
    )
    steps, phrases, total = np.linspace(-0.5, 0.5, 7), [], 0
    while total < count:
        words = rng.choice([*WORDS.values()], rng.integers(2, 5))
        gaps = np.where(rng.random(len(words)) < speaker.pause, " ", "")
        phones = "".join(word + gap for word, gap in zip(words, gaps)) + " "
        slope = speaker.slope + 0.1 * rng.standard_normal()
        swing = speaker.bow * np.sin(4 * np.pi * steps)
        loudness = 1 + speaker.stress * np.cos(6 * np.pi * steps)
        melody = np.exp(slope * steps + swing)
        phrases.append(speak(phones, voice, rng, melody, loudness)[0])
        total += len(phrases[-1])
    track = _equalised(np.concatenate(phrases)[:count], speaker.timbre)
    return _recorded(track, channel, rng)


def _equalised(track, gains):
    """Return a track with gains in dB at ``BANDS``, and between them."""
    frequency = np.log(np.fft.rfftfreq(len(track), 1 / RATE) + 1)
    decibels = np.interp(frequency, np.log(BANDS + 1), gains)
    spectrum = np.fft.rfft(track) * 10 ** (decibels / 20)
    return np.fft.irfft(spectrum, len(track))


def _recorded(track, channel, rng):
    """Return a track as a channel transmits it, at a random level."""
    seconds = len(track) / RATE
    room = Studio(np.random.default_rng(channel.seed), seconds, RATE)
    track = room.room(track, channel.reverberation, channel.share)
    noise = Studio(rng, seconds, RATE).noise(20, 7900, channel.tilt)
    noise *= track.std() * 10 ** (-channel.ratio / 20)
    track = _equalised(track + noise, channel.gains)
    track -= track.mean()
    peak = np.exp(rng.uniform(np.log(0.25), np.log(0.9)))
    return track * (peak / np.abs(track).max())


def _trials(tested, seed):
    """Yield the lines of a list; target trials are of two videos."""
    rng = np.random.default_rng((seed, 42))
    for clip, (speaker, video) in tested.items():
        same = [
            c for c, (s, v) in tested.items() if s == speaker and v != video
        ]
        other = [c for c, (s, _) in tested.items() if s != speaker]
        for label, among in ((1, same), (0, other)):
            number = min(TRIALS, len(same))
            for second in rng.choice(among, number, replace=False):
                yield f"{label} {clip} {second}\n"
