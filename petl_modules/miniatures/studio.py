"""Components of generated sounds: noises, rings, pulses and voices."""

import numpy as np
from scipy.fft import next_fast_len


class Studio:
    """Components of one clip, drawn from one random generator.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of all draws: the same state gives the same clip.
    seconds : float
        Length of the clip.
    rate : int
        Samples per second.

    Example
    -------
    >>> studio = Studio(np.random.default_rng(0), seconds=2.0, rate=16000)
    >>> studio.noise(100, 4000).shape
    (32000,)
    """

    def __init__(self, rng, seconds, rate):
        self.rng, self.seconds, self.rate = rng, seconds, rate
        self.samples = round(seconds * rate)
        self.time = np.arange(self.samples) / rate

    def noise(self, low, high, tilt=0.0):
        """Return noise of unit power in a band; tilt 0.5: pink noise."""
        frequency = np.fft.rfftfreq(self.samples, 1 / self.rate)
        inside = (frequency >= low) & (frequency <= high)
        if not inside.any():
            raise ValueError(
                f"no noise from {low:.0f} to {high:.0f} Hz in "
                f"{self.seconds:g} s at {self.rate} Hz: take a longer clip, "
                "or a higher rate"
            )
        draws = self.rng.standard_normal((2, np.count_nonzero(inside)))
        spectrum = np.zeros(len(frequency), dtype=complex)
        spectrum[inside] = draws[0] + 1j * draws[1]
        spectrum[inside] *= frequency[inside] ** -tilt
        noise = np.fft.irfft(spectrum, self.samples)
        return noise / noise.std()

    def place(self, times, kernel, gains=1.0):
        """Return a track with a short sound at given times (in seconds)."""
        onsets = np.round(np.asarray(times) * self.rate).astype(int)
        gains = np.broadcast_to(gains, onsets.shape)
        inside = (onsets >= 0) & (onsets < self.samples)
        impulses = np.bincount(
            onsets[inside], weights=gains[inside], minlength=self.samples
        )
        return self.convolve(impulses, kernel)

    def convolve(self, track, kernel):
        """Filter a track and cut it to the clip's length."""
        kernel = kernel[: self.samples]
        size = next_fast_len(self.samples + len(kernel), real=True)
        spectrum = np.fft.rfft(track, size) * np.fft.rfft(kernel, size)
        return np.fft.irfft(spectrum, size)[: self.samples]

    def bump(self, seconds, attack=0.2):
        """Return an envelope that rises from 0 to 1 and falls to 0 again.

        The rise takes the share ``attack`` of its length.
        """
        place = np.linspace(0, 1, max(2, round(seconds * self.rate)))
        angle = np.interp(place, [0, attack, 1], [0, np.pi / 2, np.pi])
        return np.sin(angle) ** 2

    def ring(self, seconds, low, high):
        """Return a decaying resonance at a random frequency."""
        time = np.arange(round(8 * seconds * self.rate)) / self.rate
        frequency = self.rng.uniform(low, high)
        return np.exp(-time / seconds) * np.sin(2 * np.pi * frequency * time)

    def rings(self, per_second, seconds, low, high):
        """Return one resonance at random times, with random levels."""
        number = self.rng.poisson(self.seconds * per_second)
        times = self.rng.uniform(0, self.seconds, number)
        gains = self.rng.exponential(1.0, number)
        return self.place(times, self.ring(seconds, low, high), gains)

    def harmonics(self, frequency, number, slope):
        """Return a tone of partials ``k`` with amplitudes ``k ** -slope``.

        ``frequency`` is the pitch in Hz at each sample.
        """
        phase = 2 * np.pi * np.cumsum(frequency) / self.rate
        # sin(k p) = 2 cos(p) sin((k - 1) p) - sin((k - 2) p)
        twice, before, partial = 2 * np.cos(phase), 0.0, np.sin(phase)
        tone = partial
        for k in range(2, number + 1):
            before, partial = partial, twice * partial - before
            heard = k * frequency < self.rate / 2
            tone = tone + k**-slope * heard * partial
        return tone

    def calls(self, low, high, gap):
        """Return a few onsets about ``gap`` seconds apart."""
        steps = gap * self.rng.uniform(
            0.8, 1.2, self.rng.integers(low, high + 1)
        )
        start = self.rng.uniform(0.0, 0.2 * self.seconds)
        return start + np.cumsum(steps) - steps[0]

    def beats(self, per_second, jitter):
        """Return regular onsets, each off by about ``jitter`` of a period."""
        number = int(self.seconds * per_second) + 1
        shifts = self.rng.uniform() + jitter * self.rng.standard_normal(number)
        return (np.arange(number) + shifts) / per_second

    def voice(self, times, seconds, pitch, bend, breath=0.2):
        """Return calls of ``seconds``; their pitch rises by ``bend``."""
        attack = self.rng.uniform(0.1, 0.4)
        loudness = self.place(times, self.bump(seconds, attack))
        loudness = np.clip(loudness, 0.0, 1.0)
        shaking = 2 * np.pi * self.rng.uniform(4, 7) * self.time
        frequency = pitch * (1 + bend * loudness)
        frequency = frequency * (1 + 0.02 * np.sin(shaking))
        tone = self.harmonics(frequency, 12, self.rng.uniform(0.6, 1.2))
        return loudness * (tone + breath * self.noise(300, 6000, 0.5))

    def room(self, track, seconds, share):
        """Mix a track with its reverberation, which lasts ``seconds``."""
        time = np.arange(round(seconds * self.rate)) / self.rate
        tail = self.rng.standard_normal(len(time))
        tail *= np.exp(-6.9 * time / seconds)
        wet = self.convolve(track, tail)
        wet *= track.std() / max(wet.std(), 1e-9)
        return (1 - share) * track + share * wet

    def recorded(self, track, decibels):
        """Return the clip as it is written: with noise, at a random level.

        Arguments
        ---------
        track : numpy.ndarray
            The clean sound.
        decibels : tuple of float
            Least and largest signal-to-noise ratio.

        Returns
        -------
        samples : numpy.ndarray
            ``[samples]``, mean 0, peak between 0.08 and 0.9.
        """
        noise = self.noise(20, 12000, self.rng.uniform(0.2, 0.8))
        ratio = 10 ** (-self.rng.uniform(*decibels) / 20)
        noisy = track + max(track.std(), 1e-3) * ratio * noise
        noisy = noisy - noisy.mean()
        peak = np.exp(self.rng.uniform(np.log(0.08), np.log(0.9)))
        return noisy * (peak / np.abs(noisy).max())
