"""Model selection: the epoch with the best validation score, and its test."""

from speechbrain.utils.logger import get_logger

from petl_modules.models import weights_sha256
from petl_modules.utils import CheckpointError, HparamsError

logger = get_logger(__name__)


def selection_value(best_metric, stats):
    """Return the value to maximise.

    Arguments
    ---------
    best_metric : dict
        ``name`` of the metric that selects, and its ``mode``, ``max`` or
        ``min``.
    stats : dict
        Metrics by name.

    Returns
    -------
    float

    Raises
    ------
    HparamsError
        If there is no such metric or mode.

    Example
    -------
    >>> selection_value({"name": "wer", "mode": "min"}, {"wer": 0.25})
    -0.25
    """
    name, mode = best_metric["name"], best_metric["mode"]
    if name not in stats:
        raise HparamsError(
            f"best_metric: no metric '{name}'; there are: {', '.join(stats)}"
        )
    if mode not in ("min", "max"):
        raise HparamsError(f"best_metric: mode '{mode}' is neither max nor min")
    return stats[name] if mode == "max" else -stats[name]


def require_metric(best_metric, metrics):
    """Refuse a metric that selects and that no epoch will have.

    Arguments
    ---------
    best_metric : dict
        See ``selection_value``.
    metrics : object
        The run's metrics. If they have ``names``, one of them must select;
        others are looked at after the first epoch.

    Raises
    ------
    HparamsError
        See ``selection_value``.
    """
    names = getattr(metrics, "names", [best_metric["name"]])
    selection_value(best_metric, dict.fromkeys(names, 0.0))


def epoch_meta(brain, epoch, valid_stats, best_metric):
    """Return what the checkpoint at the end of an epoch says of it.

    Arguments
    ---------
    brain : speechbrain.Brain
        Has ``train_stats``, and ``timer`` as a hyperparameter.
    epoch : int
        The epoch.
    valid_stats : dict or None
        Loss and metrics of the validation part. None: there is none, and the
        latest epoch is the best.
    best_metric : dict
        See ``selection_value``.

    Returns
    -------
    dict
        With ``score``, to be maximised: the earliest of equal epochs has the
        highest one. ``best_score`` is that of the best epoch so far.
    """
    meta = {"epoch": epoch, "seconds": brain.hparams.timer.seconds()}
    stats = {"train": brain.train_stats, "valid": valid_stats or {}}
    for part, values in stats.items():
        meta.update({f"{part}_{name}": v for name, v in values.items()})
    value = epoch
    if valid_stats:
        value = selection_value(best_metric, valid_stats)
    score = [value, -epoch]
    earlier = brain.checkpointer.list_checkpoints()
    scores = [c.meta.get("best_score", score) for c in earlier]
    return {**meta, "score": score, "best_score": max([score, *scores])}


def evaluate_last_and_best(brain, test_set):
    """Test the weights of the last epoch, then those of the best one.

    Arguments
    ---------
    brain : speechbrain.Brain
        Its ``on_stage_end`` leaves what a test gave in ``test_stats``, and
        its checkpoints have the meta of ``epoch_meta``. In the end it holds
        the weights of the best epoch.
    test_set : torch.utils.data.Dataset
        The test part, loaded as the hyperparameter ``test_loader`` says.

    Returns
    -------
    dict
        The fold's entry in ``summary.json``, but for its number. Values of
        the validation part are None where there is none.

    Raises
    ------
    CheckpointError
        If the checkpoint of the best epoch was lost.
    """
    last = brain.checkpointer.find_checkpoint()
    best = brain.checkpointer.find_checkpoint(max_key="score")
    if best is None or best.meta["score"] < last.meta["best_score"]:
        raise CheckpointError(
            "the checkpoint of the best epoch in "
            f"{brain.checkpointer.checkpoints_dir.parent} was damaged or "
            "removed: delete that folder, and the fold is trained again"
        )
    tests = []
    for checkpoint in [last] if best == last else [last, best]:
        selected = checkpoint == best
        brain.evaluate(
            test_set,
            max_key="score" if selected else None,  # None: the latest
            test_loader_kwargs=dict(brain.hparams.test_loader),
        )
        brain.hparams.train_logger.log_stats(
            {"epoch": checkpoint.meta["epoch"], "selected": selected},
            test_stats=brain.test_stats,
        )
        tests.append(brain.test_stats)
    _warn_if_nothing_is_learnt(brain.first_loss, last.meta["train_loss"])
    known = {**best.meta, **{f"test_{k}": v for k, v in tests[-1].items()}}
    name = brain.hparams.best_metric["name"]
    selection_value(brain.hparams.best_metric, tests[0])  # is it there?
    return {
        "epochs": last.meta["epoch"],
        "best_epoch": best.meta["epoch"],
        **{
            f"{part}_{metric}": known.get(f"{part}_{metric}")
            for metric in tests[-1]
            for part in ("train", "valid", "test")
        },
        f"last_epoch_test_{name}": tests[0][name],
        "weights_sha256": weights_sha256(
            brain.checkpointer.recoverables["model"]
        ),
        "seconds": last.meta["seconds"],
    }


def _warn_if_nothing_is_learnt(first, last):
    """Tell that the last epoch's training loss is not below the first step's.

    ``first`` is None where a checkpoint does not know it.
    """
    if first is not None and last >= first:
        logger.warning(
            f"the training loss of the last epoch, {last:.4g}, is not below "
            f"that of the first step, {first:.4g}: training has diverged, or "
            "was too short to learn. Try a smaller lr, or more epochs"
        )
