"""Plan the miniature of music: GTZAN.

The names are in the fault-filtered lists, so that all three parts exist.
"""

from functools import partial

from petl_modules.miniatures.music import play
from petl_modules.miniatures.plan import Plan
from petl_modules.miniatures.styles import STYLES

RATE = 22050
TAKES = {"train": 5, "valid": 2, "test": 3}  # of each genre


def gtzan(seed, seconds=8.0):
    """Plan 100 clips of 8 s, not of 30 s: ten genres, three lists."""
    from torchaudio.datasets import gtzan as lists  # seconds to import

    plan = Plan()
    for genre in STYLES:
        for part, count in TAKES.items():
            listed = getattr(lists, f"filtered_{part}")
            names = [name for name in listed if name.startswith(f"{genre}.")]
            for name in sorted(names)[:count]:
                draw = partial(play, genre, seconds=seconds, rate=RATE)
                plan.sounds[f"genres/{genre}/{name}.wav"] = RATE, draw
    return plan
