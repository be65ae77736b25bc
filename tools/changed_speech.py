"""Speech as other voices, rooms and channels would have it.

Everything linear happens at once in the spectrum: speed and pitch (the inverse
transform is longer or shorter), equalisation, band limits, a room.
"""

import numpy as np
import scipy.fft
import scipy.signal
import soundfile

from petl_modules.utils import DataError

RATE = 16000
FASTEST = 2**0.35  # speed and pitch of a batch, up or down
AGAIN = "Make the folder of recordings again by tools/real_speech.py."


def read_speech(path):
    """Return a recording at 16 kHz without the silence around it.

    Arguments
    ---------
    path : pathlib.Path
        The sound.

    Returns
    -------
    numpy.ndarray
        ``[time]`` of variance 1: from 50 ms before the first 10 ms that are
        within 35 dB of the loudest to 100 ms behind the last.

    Raises
    ------
    DataError
        The file is no sound, or silent or shorter than 10 ms.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: no sound ({error}). {AGAIN}") from error
    samples = samples.mean(1)
    if rate != RATE:
        common = np.gcd(rate, RATE)
        samples = scipy.signal.resample_poly(
            samples, RATE // common, rate // common
        )
    hop = RATE // 100
    if len(samples) < hop or not samples.any():
        raise DataError(f"{path} is silent, or shorter than 10 ms. {AGAIN}")
    frames = np.lib.stride_tricks.sliding_window_view(samples, hop)[::hop]
    power = np.square(frames).mean(1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5)
    start, end = hop * (loud[0] - 5), hop * (loud[-1] + 11)
    samples = samples[max(0, start) : end].astype("float32")
    return samples / (samples.std() + 1e-9)


def change(samples, length, rng):
    """Return a clip as another voice, room and channel would have it.

    Arguments
    ---------
    samples : numpy.ndarray
        ``[time]`` at 16 kHz.
    length : int
        Samples of the result: the clip is slowed down, with a lower pitch, or
        sped up.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    numpy.ndarray
        ``[length]`` of mean 0 and variance 1.
    """
    padded = scipy.fft.next_fast_len(len(samples) + RATE // 5, real=True)
    spectrum = scipy.fft.rfft(samples, padded)
    # Frequencies as they will sound
    hertz = np.linspace(0, RATE / 2, len(spectrum)) * len(samples) / length
    spectrum *= _equaliser(hertz, rng)
    if rng.random() < 0.4:
        spectrum *= _room(padded, rng)
    faster = scipy.fft.irfft(spectrum, round(padded * length / len(samples)))
    clip = faster[:length]
    clip = clip / (clip.std() + 1e-9)
    if rng.random() < 0.3:  # spans that are not heard
        span = rng.integers(RATE // 100, max(RATE // 8, RATE // 100 + 1))
        start = rng.integers(0, length)
        clip[start : start + span] = 0
    noise = rng.standard_normal(length, "float32")
    if rng.random() < 0.5:  # as traffic and rooms, not as a wire
        noise = scipy.signal.lfilter([1], [1, -0.95], noise)
        noise /= noise.std()
    clip = clip + noise * 10 ** (-rng.uniform(8, 45) / 20)
    if rng.random() < 0.2:  # mu-law of 8 bits, as in a telephone exchange
        peak = np.abs(clip).max()
        pressed = np.sign(clip) * np.log1p(255 * np.abs(clip) / peak)
        step = np.log(256) / 127
        pressed = np.round(pressed / step) * step
        clip = np.sign(pressed) * np.expm1(np.abs(pressed)) * peak / 255
    return ((clip - clip.mean()) / clip.std()).astype("float32")


def _equaliser(hertz, rng):
    """Return the gains of a random equaliser with random band limits."""
    corners = [0, 100, 300, 800, 2000, 4000, 8000, 20000]
    level = np.interp(hertz, corners, rng.normal(0, 4, len(corners)))
    gains = 10 ** (level / 20)
    if rng.random() < 0.5:  # a telephone has 300 to 3,400 Hz, 8 kHz up to 4
        gains = gains / (1 + (hertz / rng.uniform(3000, 4200)) ** 24)
    low = rng.uniform(20, 350)
    return gains * hertz**2 / (hertz**2 + low**2)


def _room(padded, rng):
    """Return the spectrum of a decaying echo behind the direct sound."""
    seconds = rng.uniform(0.05, 0.2)
    time = np.arange(round(seconds * RATE)) / RATE
    echo = rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds)
    echo *= rng.uniform(0.1, 0.7) / np.linalg.norm(echo)
    echo[0] = 1
    return scipy.fft.rfft(echo, padded)
