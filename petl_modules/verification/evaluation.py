"""Evaluation of a speaker model by trials: threshold and test."""

from speechbrain import Stage
from speechbrain.dataio.dataloader import make_dataloader

from petl_modules.data import make_datasets
from petl_modules.training import evaluate_last_and_best
from petl_modules.verification.error_rates import error_curve, rates_at
from petl_modules.verification.fold_trials import (
    OF_EACH,
    few_of_each,
    long_enough,
)
from petl_modules.verification.scoring import (
    as_norm,
    clip_vectors,
    speaker_vectors,
)


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
        Makes the sampler from the clips' ``used_seconds``, the longest first.
    options : dict
        Further options of the loader.

    Returns
    -------
    speechbrain.dataio.dataloader.SaveableDataLoader
    """
    dataset = make_datasets(
        {"test": records}, data_folder, features, windows=windows
    )["test"]
    durations = (records[clip]["duration"] for clip in dataset.data_ids)
    lengths = [used_seconds(x, features, windows) for x in durations]
    return make_dataloader(dataset, batch_sampler=batches(lengths), **options)


def used_seconds(duration, features, windows):
    """Return how many seconds of a clip are embedded, all windows together.

    Arguments
    ---------
    duration : float
        The clip's, in seconds.
    features, windows
        See ``petl_modules.data.make_datasets``.

    Returns
    -------
    float

    Example
    -------
    >>> from petl_modules.data import Waveform, Windows
    >>> used_seconds(60.0, Waveform(4.0), Windows("random", 5))
    20.0
    """
    longest = getattr(features, "longest", None)
    if longest is None:
        return duration
    window = longest / features.sample_rate
    if windows.moving:  # shorter clips are repeated
        return window * windows.test
    return min(duration, window)


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
        ``first``, ``second``, ``same``, ``score`` and ``threshold`` of each
        test trial.
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
    return result, _rows(tested, scores, threshold)


def _rows(trials, scores, threshold):
    """Return the predictions of trials."""
    columns = (trials.first, trials.second, trials.same.tolist(), scores)
    return [
        {
            "first": one,
            "second": other,
            "same": int(same),
            "score": float(score),
            "threshold": threshold,
        }
        for one, other, same, score in zip(*columns)
    ]


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
