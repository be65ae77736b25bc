"""Plan of a run: its folds and its protocol."""

import re
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from petl_modules.data import draw_few
from petl_modules.utils import HparamsError, listed

logger = get_logger(__name__)

FOLD = re.compile(r"fold\d+(-draw\d+)?")  # the name of a fold's folder


class Fold(NamedTuple):
    """One fold: training, validation and test part.

    Arguments
    ---------
    number : int
        The test fold.
    draw : int
        The few-shot draw, from 1.
    parts : dict
        Records by id, for ``train``, ``valid`` and ``test``.
    """

    number: int
    draw: int
    parts: dict

    @property
    def name(self):
        """Name of the fold's folder: ``fold3``, or ``fold3-draw2``."""
        return folder_name(self.number, self.draw)


class Plan(NamedTuple):
    """The folds of a run, and their protocol.

    Arguments
    ---------
    folds : list of Fold
        The folds, draw by draw.
    n_folds : int
        Number of folds of the protocol.
    protocol : str
        The protocol in one line, for the summary.
    """

    folds: list
    n_folds: int
    protocol: str

    def complete(self, results):
        """Return the results of folds for which all draws are finished.

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
        by_fold = {
            (result["fold"].get("draw", 1), result["fold"]["fold"]): result
            for result in results
        }
        return [
            by_fold[draw, fold]
            for draw, fold in sorted(by_fold)
            if draw in draws and all((d, fold) in by_fold for d in draws)
        ]


def folder_name(number, draw):
    """Return the name of a fold's folder, see ``Fold.name``."""
    return f"fold{number}" + (f"-draw{draw}" if draw > 1 else "")


def find_results(folder):
    """Return the files ``fold*/result.json`` of a run's finished folds."""
    return [
        file
        for file in sorted(folder.glob("fold*/result.json"))
        if FOLD.fullmatch(file.parent.name)
    ]


def plan_folds(
    records,
    split,
    folds,
    *,
    fixed_epochs,
    few_shot,
    few_shot_draws,
    seed,
    longest=None,
):
    """Plan the folds of a run.

    Arguments
    ---------
    records : dict
        The manifest.
    split : callable
        ``Folds``, ``Lists``, ``Sessions`` or ``AsListed``.
    folds : list of int
        Test folds to run. Empty: all.
    fixed_epochs : bool
        Whether to test the last epoch instead of selecting one. The validation
        part is then trained on too, or with ``few_shot`` left out.
    few_shot : int
        Number of training clips a class. 0: all.
    few_shot_draws : int
        Number of few-shot draws.
    seed : int
        Seed of the draws.
    longest : float or None
        Longer clips, in seconds, are not trained on. None: there is no limit.

    Returns
    -------
    Plan

    Raises
    ------
    HparamsError
        If a fold does not exist or is named twice, if a part would be empty,
        or if a few-shot key is invalid.
    """
    if few_shot_draws > 1 and not few_shot:
        raise HparamsError("few_shot_draws needs --few_shot: nothing is drawn")
    parts_of, protocol = split(records)
    for fold in folds:
        if type(fold) is not int or fold not in parts_of:
            raise HparamsError(
                f"there is no fold {fold}: folds go from 1 to {len(parts_of)}"
            )
    if len(set(folds)) < len(folds):
        raise HparamsError(f"folds {list(folds)}: name each once")
    planned = []
    for draw in range(1, few_shot_draws + 1):
        for number in folds or parts_of:
            parts = parts_of[number]
            if fixed_epochs:
                train = parts["train"] | ({} if few_shot else parts["valid"])
                parts = {"train": train, "test": parts["test"]}
            if longest is not None:
                train = _without_long(parts["train"], longest)
                parts = {**parts, "train": train}
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


def _without_long(records, longest):
    """Return the clips that are no longer than a limit; list the others."""
    kept = {c: r for c, r in records.items() if r["duration"] <= longest}
    if records and not kept:
        shortest = min(r["duration"] for r in records.values())
        raise HparamsError(
            f"longest is {longest} s, and the shortest of the {len(records)} "
            f"training clips has {shortest:.2f} s: nothing would be trained "
            "on. Give a larger --longest"
        )
    if left_out := sorted(records.keys() - kept.keys()):
        logger.warning(
            f"{len(left_out)} of {len(records)} training clips are longer "
            f"than {longest} s and are not trained on:\n{listed(left_out)}"
        )
    return kept


def _check_parts(number, parts, records):
    """Check that no part is empty; warn about test labels without training."""
    empty = [part for part, clips in parts.items() if not clips]
    if empty:
        present = [
            f"{key}s {', '.join(map(str, sorted(places)))}"
            for key in ("split", "fold", "session")
            if (places := {r[key] for r in records.values() if key in r})
        ]
        remedy = "name others with --folds"
        if "test" not in empty and "valid" in parts:
            remedy += ", or train on the validation part too: "
            remedy += "--fixed_epochs True"
        raise HparamsError(
            f"fold {number} has no clip left for: {', '.join(empty)}. There "
            f"are clips of {'; '.join(present)}: {remedy}"
        )
    trained, tested = (
        {r["label"] for r in parts[part].values() if "label" in r}
        for part in ("train", "test")
    )
    if unknown := sorted(tested - trained):
        logger.warning(
            f"fold {number} tests classes that it does not train: "
            f"{', '.join(unknown)}"
        )
