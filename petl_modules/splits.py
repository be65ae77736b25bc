"""Which clips train, validate and test: folds, lists, few-shot draws.

A split is called with the manifest's records and gives the parts of each
fold, and a line that tells the protocol.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import re
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

PARTS = ("train", "valid", "test")


def _parted(records, part_of):
    """Records by part, as ``part_of(record)`` says."""
    parts = {part: {} for part in PARTS}
    for clip, record in records.items():
        parts[part_of(record)][clip] = record
    return parts


class Folds:
    """Cross-validation: each fold tests once, another validates.

    Arguments
    ---------
    n_folds : int
        How many folds there are; a record's ``fold`` goes from 1 to this.
    valid_offset : int
        The validation fold lies so many folds from the test fold,
        cyclically.

    Example
    -------
    >>> records = {f"clip{fold}": {"fold": fold} for fold in range(1, 6)}
    >>> folds, protocol = Folds(n_folds=5, valid_offset=-1)(records)
    >>> {part: list(clips) for part, clips in folds[1].items()}
    {'train': ['clip2', 'clip3', 'clip4'], 'valid': ['clip5'], 'test': ['clip1']}
    >>> protocol
    '5 folds: test k, validation k - 1, train 3'
    """

    def __init__(self, n_folds, valid_offset):
        self.n_folds = n_folds
        self.valid_offset = valid_offset

    def __call__(self, records):
        """Returns the parts by fold, and the protocol."""
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

    def __call__(self, records):
        """Returns the parts of fold 1, and the protocol."""
        folds = {1: _parted(records, lambda record: record["split"])}
        return folds, "one split: train, validation, test"


class Sessions:
    """Folds of a corpus of sessions, each of a woman and a man (IEMOCAP).

    Arguments
    ---------
    protocol : str
        ``speakers``: one speaker tests, the other of the session validates
        and the other sessions train. Fold 2k - 1 tests the woman of session
        k, fold 2k the man. ``sessions``: session k tests, session k + 1
        (cyclic) validates, the others train.
    sessions : int
        How many there are. A record has ``session``, from 1 to this, and
        ``speaker``, which ends with F or M.

    Raises
    ------
    ValueError
        If there is no such protocol.

    Example
    -------
    >>> Sessions("speakers", sessions=5)({})[1]
    '10 speaker folds: test one speaker, validation the other of the session, train 4 sessions'
    >>> Sessions("sessions", sessions=5)({})[1]
    '5 session folds: test k, validation k + 1, train 3'
    """

    def __init__(self, protocol, sessions):
        if protocol not in ("speakers", "sessions"):
            raise ValueError(
                f"protocol '{protocol}' is none of: speakers, sessions"
            )
        self.protocol = protocol
        self.sessions = sessions

    def __call__(self, records):
        """Returns the parts by fold, and the protocol."""
        if self.protocol == "sessions":
            numbered = {
                clip: {**record, "fold": record["session"]}
                for clip, record in records.items()
            }
            folds, text = Folds(self.sessions, valid_offset=1)(numbered)
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
    """What the records have: their ``split`` as ``Lists``, or their ``fold``.

    Folds are as many as the highest number; fold k + 1 (cyclic) validates.
    """

    def __call__(self, records):
        """Returns the parts by fold, and the protocol."""
        if all("split" in record for record in records.values()):
            return Lists()(records)
        n_folds = max(record["fold"] for record in records.values())
        return Folds(n_folds, valid_offset=1)(records)


class Fold(NamedTuple):
    """What is trained and tested in one go.

    Arguments
    ---------
    number : int
        The test fold.
    draw : int
        Which few-shot draw, from 1.
    parts : dict
        ``train``, ``valid`` and ``test``: records by id.
    """

    number: int
    draw: int
    parts: dict

    @property
    def name(self):
        """Name of its folder: ``fold3``; further draws, ``fold3-draw2``."""
        return folder_name(self.number, self.draw)


class Plan(NamedTuple):
    """The folds of a run, and the protocol that they follow.

    Arguments
    ---------
    folds : list of Fold
        Draw by draw.
    n_folds : int
        How many folds the protocol has.
    protocol : str
        What is done, for the summary.
    """

    folds: list
    n_folds: int
    protocol: str

    def complete(self, results):
        """Those of some results whose fold has all draws of the plan.

        Arguments
        ---------
        results : iterable of dict
            Contents of ``result.json``.

        Returns
        -------
        list of dict
            Sorted by draw and fold.
        """
        draws = {fold.draw for fold in self.folds}
        found = {
            (result["fold"].get("draw", 1), result["fold"]["fold"]): result
            for result in results
        }
        return [
            found[draw, fold]
            for draw, fold in sorted(found)
            if draw in draws and all((d, fold) in found for d in draws)
        ]


def folder_name(number, draw):
    """Name of a fold's folder, see ``Fold.name``."""
    return f"fold{number}" + (f"-draw{draw}" if draw > 1 else "")


def find_results(folder):
    """The results of the finished folds of a run, ``fold3/result.json``."""
    return [
        file
        for file in sorted(folder.glob("fold*/result.json"))
        if re.fullmatch(r"fold\d+(-draw\d+)?", file.parent.name)
    ]


def draw_few(records, count, *chance):
    """A few clips of each class, chosen by chance.

    Those are taken whose ids have the lowest hashes together with some
    numbers: the choice depends on nothing else, and a smaller one is part of
    a larger one.

    Arguments
    ---------
    records : dict
        Records by id.
    count : int
        Clips of each class.
    *chance : int
        Other numbers give another draw: the run's seed, draw and fold.

    Returns
    -------
    dict
        The records drawn, in the order of ``records``.

    Raises
    ------
    ValueError
        If a class has fewer clips.

    Example
    -------
    >>> records = {f"{i}.wav": {"label": "ab"[i % 2]} for i in range(6)}
    >>> drawn = draw_few(records, 2, 10, 1)
    >>> sorted(record["label"] for record in drawn.values())
    ['a', 'a', 'b', 'b']
    """
    by_label = {}
    for clip, record in records.items():
        by_label.setdefault(record["label"], []).append(clip)
    short = {k: len(v) for k, v in by_label.items() if len(v) < count}
    if short:
        found = ", ".join(f"{label}: {n}" for label, n in short.items())
        raise ValueError(
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


def plan(
    records, split, folds, *, fixed_epochs, few_shot, few_shot_draws, seed
):
    """The folds of a run, and the protocol that they follow.

    Arguments
    ---------
    records : dict
        The manifest.
    split : callable
        ``Folds``, ``Lists``, ``Sessions`` or ``AsListed``.
    folds : list of int
        Test folds to run. Empty: all.
    fixed_epochs : bool
        Whether nothing is selected and the last epoch is tested. Then the
        validation part trains too; with few_shot it is left out.
    few_shot : int
        Clips a class to train on. 0: all.
    few_shot_draws : int
        How often they are drawn.
    seed : int
        Seed of the draws.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If a fold is not there or stands twice, if a part would be empty, or
        if a few-shot key makes no sense.
    """
    if few_shot_draws > 1 and not few_shot:
        raise ValueError("few_shot_draws needs --few_shot: nothing is drawn")
    parts_of, protocol = split(records)
    for fold in folds:
        if type(fold) is not int or fold not in parts_of:
            raise ValueError(
                f"there is no fold {fold}: folds go from 1 to {len(parts_of)}"
            )
    if len(set(folds)) < len(folds):
        raise ValueError(f"folds {list(folds)}: name each once")
    planned = []
    for draw in range(1, few_shot_draws + 1):
        for number in folds or parts_of:
            parts = parts_of[number]
            if fixed_epochs:
                train = parts["train"] | ({} if few_shot else parts["valid"])
                parts = {"train": train, "test": parts["test"]}
            _check_parts(number, parts, records)
            if few_shot:
                train = draw_few(parts["train"], few_shot, seed, draw, number)
                parts = {**parts, "train": train}
            planned.append(Fold(number, draw, parts))
    if fixed_epochs:
        also = "not used" if few_shot else "trained on too"
        protocol = protocol.partition(":")[0] + (
            f": fixed epochs, validation part {also}, last epoch tested"
        )
    if few_shot:
        protocol += f"; few-shot: {few_shot} a class, draws: {few_shot_draws}"
    return Plan(planned, len(parts_of), protocol)


def _check_parts(number, parts, records):
    """Refuses parts without clips; tells of classes that are not trained."""
    empty = [part for part, clips in parts.items() if not clips]
    if empty:
        found = [
            f"{key}s {', '.join(map(str, sorted(places)))}"
            for key in ("split", "fold", "session")
            if (places := {r[key] for r in records.values() if key in r})
        ]
        remedy = "name others with --folds"
        if "test" not in empty and "valid" in parts:
            remedy += ", or train on the validation part too: "
            remedy += "--fixed_epochs True"
        raise ValueError(
            f"fold {number} has no clip left for: {', '.join(empty)}. There "
            f"are clips of {'; '.join(found)}: {remedy}"
        )
    trained, tested = (
        {record["label"] for record in parts[part].values()}
        for part in ("train", "test")
    )
    if unknown := sorted(tested - trained):
        logger.warning(
            f"fold {number} tests classes that it does not train: "
            f"{', '.join(unknown)}"
        )
