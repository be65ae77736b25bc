"""Draw trials of clips that have no list."""

import hashlib
from bisect import bisect_left, bisect_right

import numpy as np
from speechbrain.utils.logger import get_logger

from petl_modules.utils import DataError
from petl_modules.verification.trials import Trials, as_text

logger = get_logger(__name__)


def draw_trials(records, seed):
    """Draw a target and a non-target trial for each clip.

    A target trial has another recording of the speaker, if there is one. A
    clip whose speaker has no other gets no target trial. The draw depends on
    the seed and the set of clips alone.

    Arguments
    ---------
    records : dict
        Records by id, with ``speaker`` and, where it is known, ``recording``.
    seed : int
        Seed of the draw.

    Returns
    -------
    trials : Trials
        Sorted by the first clip; ``md5`` is that of ``write_trials``'s file.

    Raises
    ------
    DataError
        There is one speaker only, or no speaker has two clips.

    Example
    -------
    >>> records = {
    ...     f"{speaker}/{video}": {"speaker": speaker, "recording": video}
    ...     for speaker in ("eve", "tim")
    ...     for video in ("1", "2")
    ... }
    >>> trials = draw_trials(records, seed=1)
    >>> trials.first[:2], trials.second[0], trials.same.tolist()[:2]
    (['eve/1', 'eve/1'], 'eve/2', [True, False])
    """
    keys = sorted(
        (record["speaker"], record.get("recording", clip), clip)
        for clip, record in records.items()
    )
    _check_speakers([speaker for speaker, _, _ in keys])
    rows, easy = [], []
    for key in sorted(keys, key=lambda key: key[-1]):
        speaker, recording, clip = key
        own = _block(keys, (speaker,))
        taken = _block(keys, (speaker, recording))
        if len(own) == len(taken) > 1:
            taken = range(place := bisect_left(keys, key), place + 1)
            easy.append(clip)
        if len(own) > len(taken):
            other = keys[_draw(own, taken, f"{seed}/target/{clip}")]
            rows.append((clip, other[-1], True))
        other = _draw(range(len(keys)), own, f"{seed}/non-target/{clip}")
        rows.append((clip, keys[other][-1], False))
    first, second, same = map(list, zip(*rows))
    if easy:
        logger.warning(
            f"{len(easy)} of {sum(same)} target trials, such as that of "
            f"{easy[0]}, compare clips of one recording, as their speakers "
            "have no other: such trials are easier"
        )
    md5 = hashlib.md5(as_text(first, second, same).encode()).hexdigest()
    return Trials(first, second, np.array(same), md5)


def _check_speakers(speakers):
    """Check that there can be both kinds of trials."""
    if len(found := set(speakers)) < 2:
        whom = ", ".join(sorted(found)) or "none"
        raise DataError(
            f"trials were to be drawn, and the speakers are: {whom}. Trials of "
            "two speakers need 2 at least: give a larger --valid_speakers"
        )
    if len(found) == len(speakers):
        raise DataError(
            f"trials were to be drawn, and each of {len(found)} speakers has "
            "one clip. Trials of one speaker need two: add clips"
        )


def _block(keys, start):
    """Return the places of the keys that begin with ``start``, as a range."""
    size = len(start)
    cut = {"key": lambda key: key[:size]}
    return range(
        bisect_left(keys, start, **cut), bisect_right(keys, start, **cut)
    )


def _draw(places, without, chance):
    """Draw one of the places outside of a part of them, all equally likely."""
    drawn = int.from_bytes(hashlib.sha256(chance.encode()).digest(), "big")
    place = places.start + drawn % (len(places) - len(without))
    return place + len(without) * (place >= without.start)
