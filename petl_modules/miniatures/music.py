"""Music by rules: a rhythm, a harmony and a timbre for each genre of GTZAN.

A bar has 16 steps. Key, tempo, levels and timbre of a clip are drawn, so that
no single one of them tells the genre.
"""

import numpy as np

from petl_modules.miniatures.studio import Studio
from petl_modules.miniatures.styles import STYLES

NOISE = (10, 30)  # signal-to-noise ratio in dB, least and largest


def play(genre, rng, seconds, rate):
    """Play one clip.

    Arguments
    ---------
    genre : str
        A key of ``STYLES``.
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

    Example
    -------
    >>> play("reggae", np.random.default_rng(1), 2.0, 22050).shape
    (44100,)
    """
    style, studio = STYLES[genre], Studio(rng, seconds, rate)
    band = Band(style, studio)
    levels = dict(zip(("bass", "chord", "drums"), rng.uniform(0.6, 1.4, 3)))
    chords = band.chords()
    if style.drive:
        driven = style.drive * rng.uniform(0.7, 1.4) * chords / chords.std()
        chords = np.tanh(driven)
    clean = levels["chord"] * chords / chords.std()
    bass = band.bass()
    clean = clean + 0.8 * levels["bass"] * bass / bass.std()
    clean = clean + style.drums * levels["drums"] * band.drums()
    clean = studio.room(clean, rng.uniform(0.1, 0.8), rng.uniform(0, 0.3))
    return studio.recorded(clean, NOISE)


class Band:
    """The instruments of one clip.

    Arguments
    ---------
    style : Style
        How they play.
    studio : petl_modules.miniatures.studio.Studio
        The clip.
    """

    def __init__(self, style, studio):
        self.style, self.studio, self.rng = style, studio, studio.rng
        self.step = 15 / self.rng.uniform(*style.tempo)  # seconds
        self.start = -16 * self.step * self.rng.uniform()  # within a bar
        self.bars = int(np.ceil(studio.seconds / (16 * self.step))) + 1
        self.first = self.rng.integers(len(style.harmony))
        self.key = 110 * 2 ** (self.rng.integers(12) / 12)  # Hz
        self.slope = style.slope + self.rng.uniform(-0.15, 0.15)
        self.decay = style.decay * self.rng.uniform(0.75, 1.3)

    def times(self, pattern, bar):
        """Return the times of a bar's strokes, a little uneven."""
        steps = np.flatnonzero(np.array([*pattern]) == "x")
        late = self.style.swing * (steps % 4 == 2)
        uneven = 0.004 * self.rng.standard_normal(len(steps))
        return self.start + (16 * bar + steps + late) * self.step + uneven

    def add(self, track, kernel, times):
        """Add a sound at some times, in place."""
        for onset in np.round(times * self.studio.rate).astype(int):
            first = max(0, -onset)
            part = kernel[first : max(first, len(track) - onset)]
            track[onset + first : onset + first + len(part)] += part

    def note(self, pitch, slope, decay, attack):
        """Return a note of a pitch in Hz."""
        samples = round(min(4 * decay, 2.0) * self.studio.rate)
        time = np.arange(samples) / self.studio.rate
        tone = self.studio.harmonics(np.full(samples, pitch), 12, slope)
        return tone * np.exp(-time / decay) * np.minimum(1, time / attack)

    def chords(self):
        """Return the track of the chords."""
        return self._harmony(self.style.chord, 2.0, 0)

    def bass(self):
        """Return the track of the bass: the root of each chord."""
        return self._harmony(self.style.bass, 0.5, 1)

    def _harmony(self, pattern, octave, notes):
        """Return a track of chords, or of their first few notes."""
        style, kernels = self.style, {}
        track = np.zeros(self.studio.samples)
        for bar in range(self.bars):
            place = (self.first + bar) % len(style.harmony)
            root, chord = style.harmony[place]
            for semitone in chord[:notes] if notes else chord:
                up = root + semitone
                if up not in kernels:
                    pitch = octave * self.key * 2 ** (up / 12)
                    kernels[up] = self.note(
                        pitch, self.slope, self.decay, style.attack
                    )
                self.add(track, kernels[up], self.times(pattern, bar))
        return track

    def drums(self):
        """Return the track of the drums."""
        rng, rate = self.rng, self.studio.rate
        time = np.arange(round(0.3 * rate)) / rate
        sweep = rng.uniform(45, 65) * time + 4 * np.exp(-time / 0.02)
        kick = 2.5 * np.sin(2 * np.pi * sweep) * np.exp(-time / 0.08)
        hiss = rng.standard_normal(len(time))
        snare = 1.2 * hiss * np.exp(-time / rng.uniform(0.04, 0.09))
        hat = np.diff(hiss, n=2, append=[0, 0]) / 3
        hat = hat * np.exp(-time / rng.uniform(0.015, 0.04))
        track = np.zeros(self.studio.samples)
        for bar in range(self.bars):
            for kernel, pattern in (
                (kick, self.style.kick),
                (snare, self.style.snare),
                (hat, self.style.hat),
            ):
                self.add(track, kernel, self.times(pattern, bar))
        return track
