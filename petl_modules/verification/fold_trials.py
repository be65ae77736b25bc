"""The trials of a fold: read or drawn, and of which clips."""

from pathlib import Path

from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from petl_modules.utils import DataError, counted_seed
from petl_modules.verification.trial_draws import draw_trials
from petl_modules.verification.trial_lists import find_trials, read_trials
from petl_modules.verification.trials import SHORTEST, write_trials

logger = get_logger(__name__)
OF_EACH = 10  # clips of a training speaker, in a cohort and its trials


def make_trials(parts, hparams, few=False):
    """Make the trials of a fold.

    Arguments
    ---------
    parts : dict
        Records by id, by part (see ``petl_modules.runs.plan.Fold``). The parts
        have different speakers.
    hparams : dict
        ``trials``: the list of the test part in ``data_folder``, or none,
        which draws them (see ``find_trials``); ``seed``; and ``fold_folder``,
        where the lists are written as ``<part>_trials.txt``.
    few : bool
        One trial of each kind, for a debug run.

    Returns
    -------
    dict
        ``Trials`` by part: ``test``, and ``valid`` or, without such a part,
        ``train``.

    Raises
    ------
    DataError
        See ``read_trials`` and ``draw_trials``; or a clip of the list is
        shorter than what is compared.
    """
    seed = hparams["seed"]
    file = find_trials(hparams["data_folder"], hparams["trials"])
    if file:
        trained = {clip["speaker"] for clip in parts["train"].values()}
        clips = {clip: r for part in parts.values() for clip, r in part.items()}
        trials = {"test": read_trials(file, clips.get, trained)}
        tested = {clip: clips[clip] for clip in trials["test"].clips()}
        if short := tested.keys() - long_enough(tested).keys():
            raise DataError(
                f"{file}: {len(short)} clips, such as {min(short)}, are "
                f"shorter than {SHORTEST} s: too short to recognise a speaker. "
                "Remove their trials"
            )
    else:
        trials = {"test": draw_trials(_comparable(parts["test"]), seed)}
    if "valid" in parts:
        trials["valid"] = draw_trials(_comparable(parts["valid"]), seed)
    else:
        known = few_of_each(_comparable(parts["train"]), seed)
        trials["train"] = draw_trials(known, seed)
    if few:
        trials = {part: each.few() for part, each in trials.items()}
    if if_main_process():
        for part, each in trials.items():
            file = Path(hparams["fold_folder"]) / f"{part}_trials.txt"
            write_trials(file, each)
    return trials


def long_enough(records):
    """Return the clips that may be compared, see ``SHORTEST``.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.

    Returns
    -------
    dict
    """
    return {c: r for c, r in records.items() if r["duration"] >= SHORTEST}


def _comparable(records):
    """Return the clips to draw trials of; tell how many are too short."""
    found = long_enough(records)
    if left_out := len(records) - len(found):
        logger.warning(
            f"{left_out} clips are shorter than {SHORTEST} s, too short to "
            "recognise a speaker: they are in no trial"
        )
    return found


def few_of_each(records, seed):
    """Return some clips of each speaker, drawn by the seed.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.
    seed : int
        The run's seed.

    Returns
    -------
    dict
        Records by id.
    """
    by_speaker = {}
    for clip in sorted(records, key=lambda clip: counted_seed(seed, clip)):
        by_speaker.setdefault(records[clip]["speaker"], []).append(clip)
    drawn = [c for clips in by_speaker.values() for c in clips[:OF_EACH]]
    return {clip: records[clip] for clip in drawn}
