"""Plan the miniatures of speech: Speech Commands, FSC, FSDD and IEMOCAP.

Speakers never span two parts of a split.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from petl_modules.miniatures.plan import Plan, csv_text
from petl_modules.miniatures.speech import RATE, draw_voice, speak
from petl_modules.miniatures.studio import Studio
from petl_modules.miniatures.words import (
    COMMANDS,
    DIGITS,
    EMOTIONS,
    SENTENCES,
    WORDS,
    phones_of,
)

GSC = ("eight", "four", "no", "off", "on", "right", "tree", "two")
SPEAKERS = {"train": 8, "valid": 4, "test": 8}
FSDD = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NOISE = (5, 25)  # signal-to-noise ratio in dB, least and largest
TAKES = {"train": 12, "valid": 4, "test": 12}  # of each word or command


def gsc(seed):
    """Plan 224 clips of 1 s: 8 words by 20 speakers, some words reversed."""
    plan, lists = Plan(), {"valid": [], "test": []}
    for split, speaker, voice in _speakers(seed):
        voice = replace(voice, tempo=0.65 * voice.tempo)
        for word in GSC:
            for take in range(_takes(split)[speaker % SPEAKERS[split]]):
                wav = f"{word}/{_name_of(split, speaker)}_nohash_{take}.wav"
                draw = partial(say, WORDS[word], voice, seconds=1.0)
                plan.sounds[wav] = RATE, draw
                if split in lists:
                    lists[split].append(f"{wav}\n")
    plan.texts["validation_list.txt"] = "".join(sorted(lists["valid"]))
    plan.texts["testing_list.txt"] = "".join(sorted(lists["test"]))
    return plan


def fsc(seed):
    """Plan 168 clips of 2 s: six commands by 20 speakers."""
    plan, rows = Plan(), {split: [] for split in SPEAKERS}
    for split, speaker, voice in _speakers(seed):
        voice = replace(voice, tempo=0.8 * voice.tempo)
        for text, slots in COMMANDS.items():
            for take in range(_takes(split)[speaker % SPEAKERS[split]]):
                number = len(rows[split])
                name = f"{_name_of(split, speaker)}-{number:04d}.wav"
                wav = f"wavs/speakers/{_name_of(split, speaker)}/{name}"
                draw = partial(say, phones_of(text), voice, seconds=2.0)
                plan.sounds[wav] = RATE, draw
                row = [number, wav, _name_of(split, speaker), text, *slots]
                rows[split].append(row)
    columns = ["", "path", "speakerId", "transcription"]
    columns += ["action", "object", "location"]
    for split, table in rows.items():
        plan.texts[f"data/{split}_data.csv"] = csv_text(columns, table)
    return plan


def fsdd(seed, takes=3):
    """Plan 180 clips of 0.3 to 1 s at 8 kHz: ten digits by six speakers."""
    plan = Plan()
    for number, speaker in enumerate(FSDD):
        rng = np.random.default_rng((seed, 50, number))
        voice = draw_voice(rng, "FM"[number % 2])
        for digit, phones in enumerate(DIGITS.values()):
            for take in range(takes):
                wav = f"recordings/{digit}_{speaker}_{take}.wav"
                draw = partial(say, phones, voice, rate=RATE // 2)
                plan.sounds[wav] = RATE // 2, draw
    return plan


def iemocap(seed):
    """Plan 240 utterances of 0.8 to 3.2 s: four emotions by ten speakers."""
    plan = Plan()
    for session in range(1, 6):
        for sex in "FM":
            rng = np.random.default_rng((seed, 10, session, "FM".index(sex)))
            voice = draw_voice(rng, sex)
            dialog = f"Ses0{session}{sex}_impro01"
            lines, start = ["% [START_TIME - END_TIME] TURN_NAME EMOTION\n"], 0
            for turn in range(24):
                label = [*EMOTIONS][turn % len(EMOTIONS)]
                sentence = SENTENCES[turn // 4 % len(SENTENCES)]
                name = f"{dialog}_{sex}{turn:03d}"
                draw = partial(act, phones_of(sentence), voice, label)
                folder = f"Session{session}/sentences/wav/{dialog}"
                plan.sounds[f"{folder}/{name}.wav"] = RATE, draw
                times = f"[{start:.4f} - {start + 3:.4f}]"
                lines.append(f"{times}\t{name}\t{label}\t[2.5, 2.5, 2.5]\n")
                start += 4
            labels = f"Session{session}/dialog/EmoEvaluation/{dialog}.txt"
            plan.texts[labels] = "".join(lines)
    return plan


def say(
    phones,
    voice,
    rng,
    seconds=None,
    melody=None,
    loudness=(1.0, 1.0),
    noise=NOISE,
    rate=RATE,
):
    """Synthesise the recording of an utterance.

    Arguments
    ---------
    phones : str
        The phones of the utterance.
    voice : petl_modules.miniatures.speech.Voice
        The speaker's voice.
    rng : numpy.random.Generator
        Source of all other draws.
    seconds : float, optional
        Length of the recording. Default: a little longer than the speech.
    melody, loudness : sequence of float, optional
        See ``speak``. Default: a melody that falls a little.
    noise : tuple of float
        Least and largest signal-to-noise ratio in dB.
    rate : int
        Samples per second, 16,000 at most.

    Returns
    -------
    samples : numpy.ndarray
        Mean 0, peak between 0.08 and 0.9.
    """
    if melody is None:
        melody = 1.05 - rng.uniform(0, 0.1, 3).cumsum()
    samples, _ = speak(phones, voice, rng, melody, loudness)
    if rate != RATE:
        count = len(samples) * rate // RATE
        spectrum = np.fft.rfft(samples)[: count // 2 + 1]
        samples = np.fft.irfft(spectrum, count)
    spoken = len(samples) / rate
    studio = Studio(rng, seconds or spoken + rng.uniform(0.1, 0.4), rate)
    samples = samples[: studio.samples]
    silence = studio.samples - len(samples)
    start = min(silence, round(rng.uniform(0.05, 0.15) * rate))
    track = np.zeros(studio.samples)
    track[start : start + len(samples)] = samples
    track = studio.room(track, rng.uniform(0.1, 0.5), rng.uniform(0, 0.3))
    return studio.recorded(track, noise)


def act(phones, voice, emotion, rng):
    """Synthesise the recording of an utterance with an emotion."""
    level, slope, bow, tempo, tension, breath = EMOTIONS[emotion]
    wander = np.exp(0.08 * rng.standard_normal(6))
    slope, bow = slope + 0.12 * rng.standard_normal(2)
    steps = np.linspace(-0.5, 0.5, 7)
    melody = level * np.exp(slope * steps + bow * np.sin(4 * np.pi * steps))
    voice = replace(
        voice,
        pitch=voice.pitch * wander[0],
        tempo=voice.tempo * tempo * wander[1],
        tension=np.clip(tension + 0.12 * rng.standard_normal(), 0, 1),
        breath=voice.breath * breath,
    )
    return say(phones, voice, rng, melody=melody)


def _speakers(seed):
    """Yield split, number and voice of each speaker."""
    number = 0
    for split, count in SPEAKERS.items():
        for place in range(count):
            rng = np.random.default_rng((seed, 20, number))
            yield split, place, draw_voice(rng, "FM"[number % 2])
            number += 1


def _takes(split):
    """Return how often each speaker of a split says each word."""
    each, rest = divmod(TAKES[split], SPEAKERS[split])
    return [each + (i < rest) for i in range(SPEAKERS[split])]


def _name_of(split, speaker):
    """Return a speaker's name."""
    return f"{[*SPEAKERS].index(split):x}{speaker:x}c0ffee"
