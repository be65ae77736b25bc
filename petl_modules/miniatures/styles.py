"""How each genre of GTZAN is played: rhythm, harmony and timbre."""

from dataclasses import dataclass

EIGHTHS = "x.x.x.x.x.x.x.x."
BEATS = "x...x...x...x..."
OFF = "..x...x...x...x."
BACK = "....x.......x..."
NEVER = "." * 16
MAJOR, MINOR, POWER = (0, 4, 7), (0, 3, 7), (0, 7, 12)
SEVENTH, MAJOR7, MINOR7 = (0, 4, 7, 10), (0, 4, 7, 11), (0, 3, 7, 10)


@dataclass
class Style:
    """How a genre is played.

    Arguments
    ---------
    tempo : tuple of float
        Least and largest number of beats a minute.
    kick, snare, hat, bass, chord : str
        The 16 steps of a bar: ``x`` where the instrument is struck.
    harmony : list of tuple
        A chord for each bar: semitones of its root above the key, and of its
        notes above the root.
    slope : float
        Partial ``k`` of a note has the amplitude ``k ** -slope``.
    decay : float
        Seconds in which a note falls to 37 %.
    attack : float
        Seconds in which it rises.
    swing : float
        How late every second eighth is, in steps.
    drive : float
        Distortion of the chords; 0: none.
    drums : float
        Level of the drums.
    """

    tempo: tuple
    kick: str
    snare: str
    hat: str
    bass: str
    chord: str
    harmony: list
    slope: float
    decay: float
    attack: float = 0.005
    swing: float = 0.0
    drive: float = 0.0
    drums: float = 1.0


STYLES = {
    "blues": Style(
        tempo=(75, 115),
        kick="x.......x.......",
        snare=BACK,
        hat=EIGHTHS,
        bass=EIGHTHS,
        chord=BEATS,
        harmony=[(0, SEVENTH), (0, SEVENTH), (5, SEVENTH), (7, SEVENTH)],
        slope=1.0,
        decay=0.25,
        swing=0.65,
        drive=2,
    ),
    "classical": Style(
        tempo=(60, 110),
        kick=NEVER,
        snare=NEVER,
        hat=NEVER,
        bass="x.......x.......",
        chord=EIGHTHS,
        harmony=[(0, MAJOR), (9, MINOR), (2, MINOR), (7, MAJOR)],
        slope=1.6,
        decay=0.9,
        attack=0.06,
        drums=0,
    ),
    "country": Style(
        tempo=(100, 135),
        kick="x.......x.......",
        snare=NEVER,
        hat=OFF,
        bass="x.......x.......",
        chord=OFF,
        harmony=[(0, MAJOR), (5, MAJOR), (7, MAJOR), (0, MAJOR)],
        slope=0.7,
        decay=0.12,
        drums=0.5,
    ),
    "disco": Style(
        tempo=(112, 130),
        kick=BEATS,
        snare=BACK,
        hat=OFF,
        bass=EIGHTHS,
        chord="x..x..x...x..x..",
        harmony=[(0, MINOR7), (0, MINOR7), (5, MINOR7), (7, MINOR7)],
        slope=1.1,
        decay=0.2,
    ),
    "hiphop": Style(
        tempo=(80, 100),
        kick="x..x......xx....",
        snare=BACK,
        hat="x.xxx.xxx.xxx.xx",
        bass="x..x......x.....",
        chord="x...............",
        harmony=[(0, MINOR), (0, MINOR), (8, MAJOR), (0, MINOR)],
        slope=2.0,
        decay=0.5,
        drums=1.8,
    ),
    "jazz": Style(
        tempo=(120, 200),
        kick=NEVER,
        snare=NEVER,
        hat="x...x.x.x...x.x.",
        bass=BEATS,
        chord="..x...x.....x...",
        harmony=[(2, MINOR7), (7, SEVENTH), (0, MAJOR7), (9, SEVENTH)],
        slope=1.4,
        decay=0.35,
        swing=0.65,
        drums=0.5,
    ),
    "metal": Style(
        tempo=(130, 190),
        kick="x.xxx.xxx.xxx.xx",
        snare=BACK,
        hat=BEATS,
        bass="x.xxx.xxx.xxx.xx",
        chord="x.xxx.xxx.xxx.xx",
        harmony=[(0, POWER), (1, POWER), (0, POWER), (6, POWER)],
        slope=0.6,
        decay=0.15,
        drive=25,
    ),
    "pop": Style(
        tempo=(96, 126),
        kick="x.....x.x.......",
        snare=BACK,
        hat=EIGHTHS,
        bass=EIGHTHS,
        chord="x.......x.......",
        harmony=[(0, MAJOR), (7, MAJOR), (9, MINOR), (5, MAJOR)],
        slope=1.0,
        decay=0.7,
        attack=0.03,
    ),
    "reggae": Style(
        tempo=(66, 92),
        kick="........x.......",
        snare="........x.......",
        hat=EIGHTHS,
        bass="x..x..x...x.....",
        chord=OFF,
        harmony=[(0, MINOR), (5, MINOR), (0, MINOR), (7, MINOR)],
        slope=1.2,
        decay=0.06,
    ),
    "rock": Style(
        tempo=(110, 150),
        kick="x.......x.x.....",
        snare=BACK,
        hat=EIGHTHS,
        bass=EIGHTHS,
        chord=EIGHTHS,
        harmony=[(0, POWER), (5, POWER), (7, POWER), (5, POWER)],
        slope=0.8,
        decay=0.4,
        drive=6,
    ),
}
