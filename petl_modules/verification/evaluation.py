"""Evaluation of a speaker model by trials: validation, threshold and test."""

from pathlib import Path

from speechbrain import Stage
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from petl_modules.data import make_datasets
from petl_modules.training import evaluate_last_and_best
from petl_modules.utils import DataError, counted_seed
from petl_modules.verification.error_rates import error_curve, rates_at
from petl_modules.verification.scoring import (
    as_norm,
    clip_vectors,
    speaker_vectors,
)
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
        which draws them (see ``find_trials``); ``seed``; and ``fold_folder``, where the lists are
        written as ``<part>_trials.txt``.
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


def make_trial_loader(
    records, data_folder, features, windows, batches, options
):
    """Make a loader that gives this process its share of some clips.

    Arguments
    ---------
    records : dict
        A ``Record`` by id; each clip is embedded once.
    data_folder, features, windows
        See ``petl_modules.data.make_datasets``.
    batches : callable
        Makes the sampler from the clips' lengths in seconds, the longest
        first.
    options : dict
        Further options of the loader.

    Returns
    -------
    speechbrain.dataio.dataloader.SaveableDataLoader
    """
    dataset = make_datasets(
        {"test": records}, data_folder, features, windows=windows
    )["test"]
    lengths = [records[clip]["duration"] for clip in dataset.data_ids]
    return make_dataloader(dataset, batch_sampler=batches(lengths), **options)


def evaluate_trials(brain, parts, trials):
    """Test the last epoch, then the best one, and its threshold.

    Arguments
    ---------
    brain : speechbrain.Brain
        See ``petl_modules.training.evaluate_last_and_best``.
    parts, trials : dict
        See ``make_trials``.

    Returns
    -------
    result : dict
        The fold's entry in ``summary.json``, but for its number.
    rows : list of dict
        ``first``, ``second``, ``same`` and ``score`` of each test trial.
    """
    hparams, tested = vars(brain.hparams), trials["test"]
    metrics, norm = hparams["metrics"], hparams["metrics"].score_norm
    records = {clip: parts["test"][clip] for clip in tested.clips()}
    result = evaluate_last_and_best(brain, hparams["trial_loader"](records))
    scores = metrics.scores(tested)
    clips, units = metrics.embeddings()
    threshold, source = result["valid_threshold"], "validation speakers"
    for part in ("train", "valid", "test"):  # it is no metric of the parts
        del result[f"{part}_threshold"]
    if "train" in trials or norm != "none":
        known = few_of_each(long_enough(parts["train"]), hparams["seed"])
        if brain.debug:
            known = _fewer(known, trials)
        embed_clips(brain, known)
        known_clips, known_units = metrics.embeddings()
    if "train" in trials:
        threshold = metrics.summarize(trials["train"])["threshold"]
        source = "training speakers"
    accepts, rejects = rates_at(threshold, scores, tested.same)
    result |= {"test_false_accepts": accepts, "test_false_rejects": rejects}
    if norm != "none":
        speakers = [known[clip]["speaker"] for clip in known_clips]
        cohort = speaker_vectors(known_units, speakers)
        curve = error_curve(
            as_norm(scores, clip_vectors(units), *tested.places(clips), cohort),
            tested.same,
        )
        result["test_eer_as_norm"] = curve.eer()[0]
        result["test_min_dcf_as_norm"] = curve.min_dcf()
    result |= {
        "threshold": threshold,
        "threshold_from": source,
        "trials_md5": tested.md5,
    }
    columns = (tested.first, tested.second, tested.same.tolist(), scores)
    names = ("first", "second", "same", "score")
    rows = [
        dict(zip(names, (one, other, int(same), float(score))))
        for one, other, same, score in zip(*columns)
    ]
    return result, rows


def _fewer(known, trials):
    """Return as few of some training clips as trials or a cohort need."""
    if "train" in trials:
        clips = trials["train"].clips()
    else:
        clips = [*known][: OF_EACH + 1]  # of two speakers
    return {clip: known[clip] for clip in clips}


def embed_clips(brain, records):
    """Embed clips into the brain's metrics with the weights that it has.

    Arguments
    ---------
    brain : speechbrain.Brain
        The Brain.
    records : dict
        A ``Record`` by id.
    """
    brain.modules.eval()
    brain.hparams.metrics.clear()
    for batch in brain.hparams.trial_loader(records):
        brain.evaluate_batch(batch, Stage.TEST)
