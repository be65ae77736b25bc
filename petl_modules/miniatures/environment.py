"""Environmental sounds by simple physical models.

Classes of ESC-50 and of UrbanSound8K, with random pitch, timing and level.
The classes differ as the real ones do (pulses, glides, noises), and overlap
enough that a classifier has to be trained to separate them.
"""

import numpy as np

from petl_modules.miniatures.studio import Studio

NOISE = (2, 20)  # signal-to-noise ratio in dB, least and largest


def synthesize(sound, rng, seconds, rate):
    """Synthesise one clip.

    Arguments
    ---------
    sound : str
        A key of ``SOUNDS``.
    rng : numpy.random.Generator
        Source of all draws: the same state gives the same clip.
    seconds : float
        Length of the clip.
    rate : int
        Samples per second.

    Returns
    -------
    samples : numpy.ndarray
        ``[seconds * rate]``, mean 0, peak between 0.08 and 0.9.

    Raises
    ------
    ValueError
        If there is no such sound.

    Example
    -------
    >>> synthesize("dog", np.random.default_rng(1), 5.0, 44100).shape
    (220500,)
    """
    if sound not in SOUNDS:
        raise ValueError(f"no sound '{sound}'; there are: {', '.join(SOUNDS)}")
    studio = Studio(rng, seconds, rate)
    clean = SOUNDS[sound](studio)
    clean = studio.room(clean, rng.uniform(0.1, 0.6), rng.uniform(0, 0.4))
    return studio.recorded(clean, NOISE)


def _dog(s):
    times = s.calls(2, 6, s.rng.uniform(0.3, 0.8))
    pitch, bend = s.rng.uniform(250, 600), s.rng.uniform(0.3, 0.9)
    return s.voice(times, s.rng.uniform(0.12, 0.3), pitch, bend, 0.6)


def _rooster(s):
    times = s.calls(1, 2, s.rng.uniform(1.6, 2.5))
    pitch, bend = s.rng.uniform(350, 650), s.rng.uniform(0.5, 1.1)
    return s.voice(times, s.rng.uniform(0.8, 1.6), pitch, bend, 0.3)


def _crying_baby(s):
    times = s.calls(3, 6, s.rng.uniform(0.9, 1.4))
    pitch, bend = s.rng.uniform(300, 550), s.rng.uniform(0.1, 0.6)
    return s.voice(times, s.rng.uniform(0.5, 1.0), pitch, bend)


def _sneezing(s):
    times = s.calls(1, 2, s.rng.uniform(1.2, 2.0))
    inhale = s.place(times, s.bump(0.5, 0.9))
    burst = s.place(times + 0.45, s.bump(s.rng.uniform(0.15, 0.4), 0.1))
    rush = s.noise(800, s.rng.uniform(5000, 12000), 0.3)
    cry = s.voice(times + 0.45, 0.3, s.rng.uniform(200, 450), 0.3)
    return (burst + 0.15 * inhale) * rush + s.rng.uniform(0.1, 0.6) * cry


def _rain(s):
    drops = s.rings(s.rng.uniform(60, 200), 0.004, 1500, 5000)
    bed = s.noise(s.rng.uniform(300, 1200), 12000, s.rng.uniform(0, 0.5))
    return bed + s.rng.uniform(1, 3) * drops


def _sea_waves(s):
    angle = 2 * np.pi * (s.rng.uniform(0.15, 0.4) * s.time + s.rng.uniform())
    surf = s.noise(80, s.rng.uniform(4000, 12000), s.rng.uniform(0.3, 0.8))
    return (0.15 + (1 + np.sin(angle)) ** 2) * surf


def _crackling_fire(s):
    crackles = s.rings(s.rng.uniform(6, 30), 0.002, 1000, 6000)
    bed = s.noise(60, s.rng.uniform(1500, 6000), s.rng.uniform(0.3, 0.8))
    return s.rng.uniform(0.1, 0.5) * bed + 2 * crackles


def _clock_tick(s):
    tick = s.ring(s.rng.uniform(0.003, 0.01), 1500, 4500)
    times = s.beats(s.rng.uniform(1.5, 5), 0.005)
    second = np.arange(len(times)) % 2 == 1
    return s.place(times, tick, np.where(second, s.rng.uniform(0.4, 1), 1))


def _helicopter(s):
    pulse = s.bump(s.rng.uniform(0.03, 0.06), 0.3)
    beats = s.place(s.beats(s.rng.uniform(9, 17), 0.01), pulse)
    rotor = s.noise(40, s.rng.uniform(300, 1500), s.rng.uniform(0.3, 0.8))
    engine = s.noise(100, 5000, 0.7)
    return (0.1 + beats) * rotor + s.rng.uniform(0.1, 0.4) * engine


def _chainsaw(s):
    wander = np.clip(s.noise(0.2, 3), -3, 3)
    speed = np.exp(s.rng.uniform(0.05, 0.2) * wander)
    speed = s.rng.uniform(70, 160) * speed
    buzz = s.harmonics(speed, 40, s.rng.uniform(0.2, 0.7))
    return buzz + s.rng.uniform(0.5, 1.5) * s.noise(500, 9000, 0.4)


def _air_conditioner(s):
    hum = s.harmonics(np.full(s.samples, s.rng.uniform(45, 120)), 8, 0.9)
    fan = s.noise(60, s.rng.uniform(2000, 6000), s.rng.uniform(0.4, 0.9))
    return fan + s.rng.uniform(0.1, 0.6) * hum


def _car_horn(s):
    times = s.calls(1, 3, s.rng.uniform(0.4, 0.9))
    blown = s.place(times, s.bump(s.rng.uniform(0.25, 0.7), 0.1))
    low = np.full(s.samples, s.rng.uniform(300, 450))
    chord = s.harmonics(low, 12, 0.5)
    chord = chord + s.harmonics(low * s.rng.uniform(1.19, 1.27), 12, 0.5)
    return np.clip(3 * blown, 0, 1) * chord


def _children_playing(s):
    shouts = 0.0
    for _ in range(s.rng.integers(3, 6)):
        times = s.calls(1, 4, s.rng.uniform(0.4, 1.0))
        pitch, bend = s.rng.uniform(350, 800), s.rng.uniform(-0.2, 0.6)
        shout = s.voice(times, s.rng.uniform(0.15, 0.6), pitch, bend)
        shouts = shouts + s.rng.uniform(0.2, 1) * shout
    return shouts + 0.15 * s.noise(200, 5000, 0.6)


def _drilling(s):
    load = np.clip(s.noise(0.3, 2), -2, 2)
    speed = s.rng.uniform(120, 320) * np.exp(0.06 * load)
    whine = s.harmonics(speed, 25, s.rng.uniform(0.1, 0.5))
    grind = s.noise(1500, s.rng.uniform(6000, 10000), 0.2)
    return whine + s.rng.uniform(0.5, 2) * grind


def _engine_idling(s):
    stroke = s.ring(s.rng.uniform(0.01, 0.03), 60, 180)
    strokes = s.place(s.beats(s.rng.uniform(18, 40), 0.04), stroke)
    strokes = strokes / strokes.std()
    return strokes + s.rng.uniform(0.2, 0.8) * s.noise(50, 3000, 0.8)


def _gun_shot(s):
    times = s.calls(1, 3, s.rng.uniform(0.2, 0.7))
    bang = np.exp(-np.arange(s.rate // 2) / s.rate / s.rng.uniform(0.02, 0.1))
    blast = s.noise(60, s.rng.uniform(4000, 9000), s.rng.uniform(0.2, 0.6))
    return s.place(times, bang) * blast


def _jackhammer(s):
    blow = s.ring(s.rng.uniform(0.004, 0.012), 600, 2500)
    blows = s.place(s.beats(s.rng.uniform(12, 26), 0.02), blow)
    dust = np.abs(blows) * s.noise(800, 8000, 0.2)
    return blows / blows.std() + dust / dust.std() + 0.3 * s.noise(50, 2000)


def _siren(s):
    turn = s.rng.uniform(0.25, 1.5) * s.time + s.rng.uniform()
    glide = 2 * np.abs(2 * (turn % 1) - 1) - 1
    pitch = s.rng.uniform(650, 1000) * 2 ** (s.rng.uniform(0.3, 0.7) * glide)
    return s.harmonics(pitch, 8, s.rng.uniform(0.6, 1.2))


def _street_music(s):
    beat, key = s.rng.uniform(0.18, 0.35), s.rng.uniform(200, 400)
    tune = 0.0
    for start in np.arange(0, s.seconds, beat):
        degree = s.rng.choice([0, 2, 4, 5, 7, 9, 12])
        pitch = np.full(s.samples, key * 2 ** (degree / 12))
        note = np.exp(-np.arange(s.rate) / s.rate / 0.15)
        tune = tune + s.place([start], note) * s.harmonics(pitch, 10, 1.0)
    drum = s.place(s.beats(1 / (2 * beat), 0.01), s.ring(0.03, 60, 120))
    return tune + drum


SOUNDS = {
    "dog": _dog,
    "rooster": _rooster,
    "rain": _rain,
    "sea_waves": _sea_waves,
    "crackling_fire": _crackling_fire,
    "crying_baby": _crying_baby,
    "sneezing": _sneezing,
    "clock_tick": _clock_tick,
    "helicopter": _helicopter,
    "chainsaw": _chainsaw,
    "air_conditioner": _air_conditioner,
    "car_horn": _car_horn,
    "children_playing": _children_playing,
    "drilling": _drilling,
    "engine_idling": _engine_idling,
    "gun_shot": _gun_shot,
    "jackhammer": _jackhammer,
    "siren": _siren,
    "street_music": _street_music,
}
