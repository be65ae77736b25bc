"""Hold out speakers: those of validation and test are not trained on."""

import hashlib

from petl_modules.data.splits import PARTS
from petl_modules.utils import DataError, HparamsError, listed

LEAST = 2  # speakers: with one, no trial is of two speakers


class HeldOutSpeakers:
    """Training, validation and test part with different speakers, one fold.

    The test part is that of the records with ``split: test``, or else of
    speakers that are drawn. The validation part's speakers are drawn from the
    others, or named. A draw depends on the seed and the names alone, and a
    smaller draw is part of a larger one.

    Arguments
    ---------
    valid_speakers : int or list of str
        Number of speakers that validate, 2 or more, or their names.
    seed : int
        Seed of the draws.
    test_speakers : int
        Number of speakers to draw for the test part if the records have no
        ``split: test``, 2 or more.

    Raises
    ------
    HparamsError
        A number is too small.

    Example
    -------
    >>> records = {f"{name}/{i}": {"speaker": name} for name in "abcdefg" for i in (1, 2)}
    >>> folds, protocol = HeldOutSpeakers(2, seed=5, test_speakers=2)(records)
    >>> {part: sorted({clip[0] for clip in folds[1][part]}) for part in PARTS}
    {'train': ['a', 'c', 'e'], 'valid': ['b', 'f'], 'test': ['d', 'g']}
    >>> protocol
    'held-out speakers: test 2 and validation 2 of 7 drawn by seed 5, train 3'
    """

    n_folds = 1

    def __init__(self, valid_speakers, seed, test_speakers=0):
        self.named = ()
        if isinstance(valid_speakers, (list, tuple)):
            self.named = tuple(map(str, valid_speakers))
            valid_speakers = len({*self.named})
        elif type(valid_speakers) is not int:
            raise HparamsError(
                f"valid_speakers is {valid_speakers!r}: give a number of "
                "speakers, or a list of their names, such as [eve,tim]"
            )
        for key, number in (
            ("valid_speakers", valid_speakers),
            ("test_speakers", test_speakers),
        ):
            if number < LEAST and (number or key == "valid_speakers"):
                raise HparamsError(
                    f"{key} is {number}: trials of two speakers need "
                    f"{LEAST} at least"
                )
        self.valid_speakers = valid_speakers
        self.seed = seed
        self.test_speakers = test_speakers

    def __call__(self, records):
        """Return the parts of fold 1, and the protocol.

        Raises
        ------
        DataError
            A clip has no speaker, a speaker is in training and test part,
            there are too few speakers, or a named one is not among them.
        """
        test, others = self._listed(records)
        listed_test = bool(test)
        self._check_numbers(len(test), len(others))
        named = self._find_named(others)
        if not listed_test:
            test = self._draw(others - named, "test", self.test_speakers)
        valid = named or self._draw(others - test, "valid", self.valid_speakers)
        train = others - test - valid
        parts = {part: {} for part in PARTS}
        for clip, record in records.items():
            speaker = record["speaker"]
            part = "valid" if speaker in valid else "train"
            parts["test" if speaker in test else part][clip] = record
        told = {
            f"test {len(test)}": "as listed" if listed_test else "drawn",
            f"validation {len(valid)}": "as named" if named else "drawn",
        }
        return {1: parts}, self._protocol(told, len(others), len(train))

    def _protocol(self, told, others, train):
        """Return how the parts came about."""
        given = [f"{x} {how}" for x, how in told.items() if how != "drawn"]
        drawn = " and ".join(x for x, how in told.items() if how == "drawn")
        if drawn:
            given.append(f"{drawn} of {others} drawn by seed {self.seed}")
        return f"held-out speakers: {', '.join(given)}, train {train}"

    def _find_named(self, others):
        """Return the speakers that are named to validate."""
        if unknown := {*self.named} - others:
            raise DataError(
                f"valid_speakers names {len(unknown)} that are no speakers "
                "outside the test part. Correct the names:\n"
                f"{listed(sorted(unknown), limit=20)}\n"
                f"There are:\n{listed(sorted(others), limit=20)}"
            )
        return {*self.named}

    def _listed(self, records):
        """Return the speakers of the listed test part, and all others."""
        found = {True: {}, False: {}}  # a clip of each speaker
        for clip, record in records.items():
            if "speaker" not in record:
                raise DataError(
                    f"speakers are held out, and {clip} has no speaker"
                )
            tested = record.get("split") == "test"
            found[tested].setdefault(record["speaker"], clip)
        test, others = found[True], found[False]
        leaks = [
            f"{speaker}: {test[speaker]} tests, {others[speaker]} trains"
            for speaker in sorted(test.keys() & others.keys())
        ]
        if leaks:
            raise DataError(
                f"{len(leaks)} speakers are in the training and the test "
                f"part:\n{listed(leaks, limit=20)}\nMove the clips of each "
                "speaker to one part"
            )
        return {*test}, {*others}

    def _check_numbers(self, test, others):
        """Check that there are enough speakers for each part."""
        drawn = {"valid_speakers": self.valid_speakers}
        if not test:
            if not self.test_speakers:
                raise DataError(
                    "no clip is in the test part: give --test_speakers, the "
                    f"number of speakers to test on, {LEAST} or more"
                )
            drawn["test_speakers"] = self.test_speakers
        elif test < LEAST:
            raise DataError(
                f"the test part has {test} speaker: trials of two speakers "
                f"need {LEAST} at least. Add a speaker to it"
            )
        if others - sum(drawn.values()) < LEAST:
            held = " and ".join(f"{key} {n}" for key, n in drawn.items())
            raise DataError(
                f"{others} speakers are not listed for testing, and {held} "
                f"leave {max(0, others - sum(drawn.values()))} to train on, "
                f"not {LEAST} at least. Add speakers, or hold out fewer"
            )

    def _draw(self, speakers, part, number):
        """Return speakers that are drawn for a part."""

        def chance(speaker):
            text = f"{part}/{self.seed}/{speaker}"
            return hashlib.sha256(text.encode()).digest()

        return {*sorted(speakers, key=chance)[:number]}
