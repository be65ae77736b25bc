"""Which epoch a fold is judged by, and what is told of it.

Authors
 * The PETL audio recipes team 2026
"""


def best_then_earliest(checkpoint):
    """Importance of a checkpoint: its score, of equals the earlier epoch.

    Checkpoints from within an epoch, which have no score, come last.
    """
    meta = checkpoint.meta
    return meta.get("score", float("-inf")), -meta.get("epoch", 0)


def epoch_meta(epoch, train, valid=None, earlier=()):
    """What a checkpoint at the end of an epoch knows of it.

    Arguments
    ---------
    epoch : int
        The epoch.
    train : dict
        ``loss``, ``accuracy`` and further metrics of the training part.
    valid : dict or None
        The same of the validation part. None: there is none, and the latest
        epoch is the best.
    earlier : list of speechbrain.utils.checkpoints.Checkpoint
        Those that are there already.

    Returns
    -------
    dict

    Example
    -------
    >>> stats = {"loss": 1.5, "accuracy": 0.5}
    >>> epoch_meta(3, stats)["score"]
    3
    >>> epoch_meta(3, stats, valid=stats)["score"]
    0.5
    """
    meta = {"epoch": epoch}
    for part, stats in (("train", train), ("valid", valid or {})):
        meta.update({f"{part}_{name}": value for name, value in stats.items()})
    score = valid["accuracy"] if valid else epoch
    scores = [c.meta.get("best_score", score) for c in earlier]
    return {**meta, "score": score, "best_score": max([score, *scores])}


def require_best(best, last):
    """Stops if the best epoch's checkpoint was lost.

    Arguments
    ---------
    best, last : speechbrain.utils.checkpoints.Checkpoint
        The best of those that are there, and the latest.

    Raises
    ------
    ValueError
        If the latest one knows of a better one.
    """
    if best.meta["score"] < last.meta["best_score"]:
        folder = best.path.parents[1]
        raise ValueError(
            f"the checkpoint of the best epoch in {folder} was damaged or "
            "removed: delete that folder, and the fold is trained again"
        )


def fold_result(best, last, test, last_test):
    """A fold's entry in ``summary.json``.

    Arguments
    ---------
    best, last : speechbrain.utils.checkpoints.Checkpoint
        The selected checkpoint and the last one.
    test, last_test : dict
        ``loss``, ``accuracy`` and further metrics of their tests.

    Returns
    -------
    dict
        Values of the validation part are None where there is none.
    """
    known = {**best.meta, **{f"test_{k}": v for k, v in test.items()}}
    return {
        "epochs": last.meta["epoch"],
        "best_epoch": best.meta["epoch"],
        **{
            f"{part}_{name}": known.get(f"{part}_{name}")
            for name in test
            for part in ("train", "valid", "test")
        },
        "last_epoch_test_accuracy": last_test["accuracy"],
    }
