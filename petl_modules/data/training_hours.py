"""A smaller training part: some speakers of it."""

import hashlib
import math

from speechbrain.utils.logger import get_logger

from petl_modules.utils import HparamsError

logger = get_logger(__name__)


class SomeHours:
    """A split of which only so many hours are trained on.

    Speakers are taken whole, in an order that the seed draws, until there are
    so many hours. A smaller draw is part of a larger one.

    Arguments
    ---------
    split : callable
        Returns the parts of each fold, and the protocol.
    hours : float or None
        Hours to train on. None: all.
    seed : int
        Seed of the draw.

    Raises
    ------
    HparamsError
        The hours are no number above 0.

    Example
    -------
    >>> from petl_modules.data import Lists
    >>> records = {
    ...     f"{name}{i}": {"speaker": name, "duration": 900.0, "split": "train"}
    ...     for name in "abc"
    ...     for i in (1, 2)
    ... }
    >>> folds, protocol = SomeHours(Lists(), hours=1, seed=10)(records)
    >>> [*folds[1]["train"]]
    ['a1', 'a2', 'b1', 'b2']
    >>> protocol
    'one split (1.0 h of 2 speakers to train on): train, validation, test'
    """

    def __init__(self, split, hours, seed):
        number = type(hours) in (int, float) and 0 < hours < math.inf
        if hours is not None and not number:
            raise HparamsError(
                f"train_hours is {hours!r}: give a number above 0, or leave it "
                "out to train on all"
            )
        self.split = split
        self.n_folds = getattr(split, "n_folds", None)
        self.hours = hours
        self.seed = seed

    def __call__(self, records):
        """Return the parts by fold, and the protocol."""
        folds, protocol = self.split(records)
        if self.hours is None:
            return folds, protocol
        for parts in folds.values():
            parts["train"], told = self._drawn(parts["train"])
        return folds, protocol.replace(":", f" ({told}):", 1)

    def _drawn(self, records):
        """Return some of the records, and what they are."""
        speakers = {}
        for clip, record in records.items():
            speakers.setdefault(record["speaker"], []).append(clip)

        def chance(speaker):
            text = f"{self.seed}/{speaker}"
            return hashlib.sha256(text.encode()).digest()

        drawn, hours, count = set(), 0.0, 0
        for speaker in sorted(speakers, key=chance):
            if hours >= self.hours:
                break
            clips = speakers[speaker]
            drawn.update(clips)
            hours += sum(records[clip]["duration"] for clip in clips) / 3600
            count += 1
        if hours < self.hours:
            logger.warning(
                f"train_hours is {self.hours}, and the training part has "
                f"{hours:.2f} h: all of it is trained on"
            )
        told = f"{hours:.1f} h of {count} speakers to train on"
        return {c: r for c, r in records.items() if c in drawn}, told
