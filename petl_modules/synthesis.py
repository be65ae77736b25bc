"""Sounds made by formulas, for trials where no recordings are at hand.

Ten classes of ESC-50, each drawn with random pitch, timing, level and
background noise. The classes differ as the real ones do (pulses, glides,
noises), and overlap enough that telling them apart has to be learnt.

Authors
 * The PETL audio recipes team 2026
"""

import numpy as np

VERSION = 1  # another number where the same draws give other sounds
RATE = 44100
SAMPLES = 5 * RATE
TIME = np.arange(SAMPLES) / RATE


def synthesize(category, rng):
    """One clip of five seconds at 44.1 kHz.

    Arguments
    ---------
    category : str
        A key of ``CLASSES``.
    rng : numpy.random.Generator
        Source of all draws: the same state gives the same clip.

    Returns
    -------
    samples : numpy.ndarray
        ``[220500]``, without a constant part, peak between 0.08 and 0.9.

    Example
    -------
    >>> synthesize("dog", np.random.default_rng(1)).shape
    (220500,)
    """
    if category not in CLASSES:
        raise ValueError(
            f"no sound '{category}'; there are: {', '.join(CLASSES)}"
        )
    _, sound = CLASSES[category]
    clean = sound(rng)
    noise = _noise(rng, 20, 12000, rng.uniform(0.2, 0.8))
    decibels = rng.uniform(8, 30)
    noisy = clean + clean.std() * 10 ** (-decibels / 20) * noise
    noisy -= noisy.mean()
    peak = np.exp(rng.uniform(np.log(0.08), np.log(0.9)))
    return noisy * (peak / np.abs(noisy).max())


def _noise(rng, low, high, tilt=0.0):
    """Noise of unit power between two frequencies; tilt 0.5 makes it pink."""
    frequency = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    inside = (frequency >= low) & (frequency <= high)
    draws = rng.standard_normal((2, np.count_nonzero(inside)))
    spectrum = np.zeros(len(frequency), dtype=complex)
    spectrum[inside] = (draws[0] + 1j * draws[1]) * frequency[inside] ** -tilt
    noise = np.fft.irfft(spectrum, SAMPLES)
    return noise / noise.std()


def _place(times, kernel, gains=1.0):
    """A track with a short sound at each of many times (in seconds)."""
    onsets = np.round(np.asarray(times) * RATE).astype(int)
    gains = np.broadcast_to(gains, onsets.shape)
    inside = (onsets >= 0) & (onsets < SAMPLES)
    impulses = np.bincount(
        onsets[inside], weights=gains[inside], minlength=SAMPLES
    )
    size = 2 * SAMPLES  # no kernel is longer than a clip, so nothing wraps
    product = np.fft.rfft(impulses, size) * np.fft.rfft(kernel, size)
    return np.fft.irfft(product, size)[:SAMPLES]


def _bump(seconds, attack=0.2):
    """A smooth rise from 0 to 1, for the share ``attack``, and fall to 0."""
    place = np.linspace(0, 1, round(seconds * RATE))
    angle = np.interp(place, [0, attack, 1], [0, np.pi / 2, np.pi])
    return np.sin(angle) ** 2


def _ring(rng, seconds, low, high):
    """A resonance between two frequencies that dies away."""
    time = TIME[: round(8 * seconds * RATE)]
    frequency = rng.uniform(low, high)
    return np.exp(-time / seconds) * np.sin(2 * np.pi * frequency * time)


def _rings(rng, per_second, seconds, low, high):
    """The same resonance at random times, with random levels."""
    number = rng.poisson(5 * per_second)
    times, gains = rng.uniform(0, 5, number), rng.exponential(1.0, number)
    return _place(times, _ring(rng, seconds, low, high), gains)


def _harmonics(frequency, number, slope):
    """Partials ``k`` of amplitude ``k ** -slope`` over a moving pitch in Hz."""
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    # sin(k p) = 2 cos(p) sin((k - 1) p) - sin((k - 2) p)
    twice, before, partial = 2 * np.cos(phase), 0.0, np.sin(phase)
    tone = partial
    for k in range(2, number + 1):
        before, partial = partial, twice * partial - before
        tone = tone + k**-slope * partial
    return tone


def _calls(rng, low, high, gap):
    """A few onsets about ``gap`` seconds apart, from a random start."""
    steps = gap * rng.uniform(0.8, 1.2, rng.integers(low, high + 1))
    return rng.uniform(0.0, 1.5) + np.cumsum(steps) - steps[0]


def _beats(rng, per_second, jitter):
    """Steady onsets, each off by about ``jitter`` of a period."""
    number = int(5 * per_second)
    shifts = rng.uniform(0, 1) + jitter * rng.standard_normal(number)
    return (np.arange(number) + shifts) / per_second


def _voice(rng, times, seconds, pitch, bend, breath=0.2):
    """Calls of ``seconds`` whose pitch rises by the share ``bend``."""
    loudness = _place(times, _bump(seconds, rng.uniform(0.1, 0.4)))
    loudness = np.clip(loudness, 0.0, 1.0)
    shake = 1 + 0.02 * np.sin(2 * np.pi * rng.uniform(4, 7) * TIME)
    frequency = pitch * (1 + bend * loudness) * shake
    tone = _harmonics(frequency, 12, rng.uniform(0.6, 1.2))
    return loudness * (tone + breath * _noise(rng, 300, 6000, 0.5))


def _dog(rng):
    times = _calls(rng, 2, 6, rng.uniform(0.3, 0.8))
    pitch, bend = rng.uniform(250, 600), rng.uniform(0.3, 0.9)
    return _voice(rng, times, rng.uniform(0.12, 0.3), pitch, bend, 0.6)


def _rooster(rng):
    times = _calls(rng, 1, 2, rng.uniform(1.6, 2.5))
    pitch, bend = rng.uniform(350, 650), rng.uniform(0.5, 1.1)
    return _voice(rng, times, rng.uniform(0.8, 1.6), pitch, bend, 0.3)


def _crying_baby(rng):
    times = _calls(rng, 3, 6, rng.uniform(0.9, 1.4))
    pitch, bend = rng.uniform(300, 550), rng.uniform(0.1, 0.6)
    return _voice(rng, times, rng.uniform(0.5, 1.0), pitch, bend)


def _sneezing(rng):
    times = _calls(rng, 1, 2, rng.uniform(1.2, 2.0))
    inhale = _place(times, _bump(0.5, 0.9))
    burst = _place(times + 0.45, _bump(rng.uniform(0.15, 0.4), 0.1))
    rush = _noise(rng, 800, rng.uniform(5000, 12000), 0.3)
    cry = _voice(rng, times + 0.45, 0.3, rng.uniform(200, 450), 0.3)
    return (burst + 0.15 * inhale) * rush + rng.uniform(0.1, 0.6) * cry


def _rain(rng):
    drops = _rings(rng, rng.uniform(60, 200), 0.004, 1500, 5000)
    bed = _noise(rng, rng.uniform(300, 1200), 12000, rng.uniform(0, 0.5))
    return bed + rng.uniform(1, 3) * drops


def _sea_waves(rng):
    angle = 2 * np.pi * (rng.uniform(0.15, 0.4) * TIME + rng.uniform())
    surf = _noise(rng, 80, rng.uniform(4000, 12000), rng.uniform(0.3, 0.8))
    return (0.15 + (1 + np.sin(angle)) ** 2) * surf


def _crackling_fire(rng):
    crackles = _rings(rng, rng.uniform(6, 30), 0.002, 1000, 6000)
    bed = _noise(rng, 60, rng.uniform(1500, 6000), rng.uniform(0.3, 0.8))
    return rng.uniform(0.1, 0.5) * bed + 2 * crackles


def _clock_tick(rng):
    tick = _ring(rng, rng.uniform(0.003, 0.01), 1500, 4500)
    times = _beats(rng, rng.uniform(1.5, 5), 0.005)
    every_second = np.arange(len(times)) % 2 == 1
    return _place(times, tick, np.where(every_second, rng.uniform(0.4, 1), 1))


def _helicopter(rng):
    pulse = _bump(rng.uniform(0.03, 0.06), 0.3)
    beats = _place(_beats(rng, rng.uniform(9, 17), 0.01), pulse)
    rotor = _noise(rng, 40, rng.uniform(300, 1500), rng.uniform(0.3, 0.8))
    engine = _noise(rng, 100, 5000, 0.7)
    return (0.1 + beats) * rotor + rng.uniform(0.1, 0.4) * engine


def _chainsaw(rng):
    throttle = rng.uniform(0.05, 0.2) * np.clip(_noise(rng, 0.2, 3), -3, 3)
    speed = rng.uniform(70, 160) * np.exp(throttle)
    buzz = _harmonics(speed, 40, rng.uniform(0.2, 0.7))
    return buzz + rng.uniform(0.5, 1.5) * _noise(rng, 500, 9000, 0.4)


# ESC-50's name of each class: its number there and the formula
CLASSES = {
    "dog": (0, _dog),
    "rooster": (1, _rooster),
    "rain": (10, _rain),
    "sea_waves": (11, _sea_waves),
    "crackling_fire": (12, _crackling_fire),
    "crying_baby": (20, _crying_baby),
    "sneezing": (21, _sneezing),
    "clock_tick": (38, _clock_tick),
    "helicopter": (40, _helicopter),
    "chainsaw": (41, _chainsaw),
}
