"""Splits into training, validation and test part; few-shot draws.

A split is called with the manifest's records (see
``petl_modules.data.prepare.Record``) and returns the parts of each fold, and
a line that describes the protocol. Its ``n_folds`` is the number of folds, or
None if only the records tell.
"""

import hashlib

from petl_modules.utils import HparamsError

PARTS = ("train", "valid", "test")


def _require(records, *keys):
    """Refuse records that lack a key by which a split parts them."""
    for clip, record in records.items():
        if missing := [key for key in keys if key not in record]:
            raise HparamsError(
                f"plan: its split needs the {missing[0]} of each clip, and "
                f"{clip} has none. Take the split of the recipe's ast.yaml"
            )


def _parted(records, part_of):
    """Group records by ``part_of(record)``."""
    parts = {part: {} for part in PARTS}
    for clip, record in records.items():
        parts[part_of(record)][clip] = record
    return parts


class Folds:
    """Cross-validation: each fold tests once, another validates.

    Arguments
    ---------
    n_folds : int
        Number of folds; a record's ``fold`` goes from 1 to this number.
    valid_offset : int
        The validation fold is the test fold plus this offset, cyclically.

    Example
    -------
    >>> records = {f"clip{fold}": {"fold": fold} for fold in range(1, 6)}
    >>> folds, protocol = Folds(n_folds=5, valid_offset=-1)(records)
    >>> {part: list(clips) for part, clips in folds[1].items()}
    {'train': ['clip2', 'clip3', 'clip4'], 'valid': ['clip5'], 'test': ['clip1']}
    >>> protocol
    '5 folds: test k, validation k - 1, train 3'
    """

    def __init__(self, n_folds, valid_offset=1):
        self.n_folds = n_folds
        self.valid_offset = valid_offset

    def __call__(self, records):
        """Return the parts by fold, and the protocol."""
        _require(records, "fold")
        folds = {}
        for test in range(1, self.n_folds + 1):
            valid = (test - 1 + self.valid_offset) % self.n_folds + 1
            names = {valid: "valid", test: "test"}
            folds[test] = _parted(
                records, lambda r: names.get(r["fold"], "train")
            )
        sign = "-" if self.valid_offset < 0 else "+"
        return folds, (
            f"{self.n_folds} folds: test k, validation "
            f"k {sign} {abs(self.valid_offset)}, train {self.n_folds - 2}"
        )


class Lists:
    """The dataset's own training, validation and test lists, as one fold.

    Example
    -------
    >>> records = {part: {"split": part} for part in PARTS}
    >>> folds, protocol = Lists()(records)
    >>> folds
    {1: {'train': {'train': {'split': 'train'}}, 'valid': {'valid': {'split': 'valid'}}, 'test': {'test': {'split': 'test'}}}}
    """

    n_folds = 1

    def __call__(self, records):
        """Return the parts of fold 1, and the protocol."""
        _require(records, "split")
        folds = {1: _parted(records, lambda record: record["split"])}
        return folds, "one split: train, validation, test"


class Sessions:
    """Folds of a corpus of sessions, each of a woman and a man (IEMOCAP).

    Arguments
    ---------
    protocol : str
        ``speakers``: one speaker tests, the other speaker of the session
        validates, the other sessions train. Fold 2k - 1 tests the woman of
        session k, fold 2k the man. ``sessions``: session k tests, session
        k + 1 (cyclic) validates, the other sessions train.
    sessions : int
        Number of sessions. A record has ``session``, from 1 to this number,
        and ``speaker``, which ends with F or M.

    Raises
    ------
    HparamsError
        There is no such protocol.

    Example
    -------
    >>> Sessions("speakers", sessions=5)({})[1]
    '10 speaker folds: test one speaker, validation the other of the session, train 4 sessions'
    >>> Sessions("sessions", sessions=5)({})[1]
    '5 session folds: test k, validation k + 1, train 3'
    """

    def __init__(self, protocol, sessions):
        if protocol not in ("speakers", "sessions"):
            raise HparamsError(
                f"protocol '{protocol}' is none of: speakers, sessions"
            )
        self.protocol = protocol
        self.sessions = sessions
        self.n_folds = sessions * (2 if protocol == "speakers" else 1)

    def __call__(self, records):
        """Return the parts by fold, and the protocol."""
        _require(records, "session", "speaker")
        if self.protocol == "sessions":
            numbered = {
                clip: {**record, "fold": record["session"]}
                for clip, record in records.items()
            }
            folds, text = Folds(self.sessions)(numbered)
            return folds, text.replace("folds", "session folds", 1)
        folds = {}
        for session in range(1, self.sessions + 1):
            for place, sex in enumerate("FM"):

                def part_of(record, session=session, sex=sex):
                    if record["session"] != session:
                        return "train"
                    same = record["speaker"].endswith(sex)
                    return "test" if same else "valid"

                fold = 2 * session - 1 + place
                folds[fold] = _parted(records, part_of)
        return folds, (
            f"{2 * self.sessions} speaker folds: test one speaker, validation "
            f"the other of the session, train {self.sessions - 1} sessions"
        )


class AsListed:
    """Split by the records' key ``split`` (see ``Lists``), or by ``fold``.

    The highest fold is the number of folds; fold k + 1 (cyclic) validates.

    Arguments
    ---------
    name : str or None
        A name of these lists or folds, for the protocol.

    Example
    -------
    >>> AsListed("made by hand")({"a": {"split": "test"}})[1]
    'one split (made by hand): train, validation, test'
    """

    n_folds = None  # only the records tell

    def __init__(self, name=None):
        self.name = name

    def __call__(self, records):
        """Return the parts by fold, and the protocol."""
        split = Lists()
        if not all("split" in record for record in records.values()):
            _require(records, "fold")
            split = Folds(max(record["fold"] for record in records.values()))
        folds, protocol = split(records)
        if self.name is not None:
            protocol = protocol.replace(":", f" ({self.name}):", 1)
        return folds, protocol


def draw_few(records, count, *chance):
    """Draw a few clips of each class at random.

    The clips with the lowest hashes of id and ``chance`` are drawn. The draw
    depends on nothing else, and a smaller draw is part of a larger one.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.
    count : int
        Number of clips of each class.
    *chance : int
        Numbers that select the draw: the run's seed, draw and fold.

    Returns
    -------
    dict
        The records drawn, in the order of ``records``.

    Raises
    ------
    HparamsError
        A class has fewer clips, or a record has no label.

    Example
    -------
    >>> records = {f"{i}.wav": {"label": "ab"[i % 2]} for i in range(6)}
    >>> drawn = draw_few(records, 2, 10, 1)
    >>> sorted(record["label"] for record in drawn.values())
    ['a', 'a', 'b', 'b']
    """
    by_label = {}
    for clip, record in records.items():
        if "label" not in record:
            raise HparamsError(
                f"few_shot is {count}: clips of each class are drawn, and "
                f"{clip} has no label. Leave few_shot at 0"
            )
        by_label.setdefault(record["label"], []).append(clip)
    short = {k: len(v) for k, v in by_label.items() if len(v) < count}
    if short:
        found = ", ".join(f"{label}: {n}" for label, n in short.items())
        raise HparamsError(
            f"few_shot is {count}, and some classes have fewer clips to train "
            f"on: {found}. Give a smaller --few_shot"
        )

    def drawn_number(clip):
        text = "/".join(map(str, [*chance, clip]))
        return hashlib.sha256(text.encode()).digest()

    drawn = set()
    for clips in by_label.values():
        drawn.update(sorted(clips, key=drawn_number)[:count])
    return {clip: r for clip, r in records.items() if clip in drawn}
