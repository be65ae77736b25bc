"""Evaluation of a recogniser: its error rates on several sets of clips."""

from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from petl_modules.data import PARTS
from petl_modules.recognition.alignments import write_alignments
from petl_modules.training import evaluate_last_and_best


def evaluate_sets(brain, datasets):
    """Test the last epoch, then the best one, also under other conditions.

    The alignments of each test set are written to the fold's folder.

    Arguments
    ---------
    brain : speechbrain.Brain
        See ``petl_modules.training.evaluate_last_and_best``.
    datasets : dict
        See ``make_utterances``.

    Returns
    -------
    result : dict
        The fold's entry in ``summary.json``, but for its number: error rates
        as ``test_wer`` and, under a condition, ``test_<condition>_wer``.
    rows : list of dict
        See ``RecognitionMetrics.predictions``; of all test sets.
    """
    hparams = vars(brain.hparams)
    folder, metrics = Path(hparams["fold_folder"]), hparams["metrics"]
    result = evaluate_last_and_best(brain, datasets["test"])
    rows = _keep(metrics, folder / "alignments.txt")
    for name in datasets:
        if name in PARTS:
            continue
        brain.evaluate(
            datasets[name],
            max_key="score",
            test_loader_kwargs=dict(hparams["test_loader"]),
        )
        for metric, value in brain.test_stats.items():
            result[f"{name}_{metric}"] = value
        part, _, condition = name.partition("_")
        if part == "test":
            rows += _keep(metrics, folder / f"alignments_{condition}.txt")
    return result, rows


def _keep(metrics, file):
    """Write the alignments of an evaluation, and return its rows."""
    rows = list(metrics.predictions())
    if if_main_process():
        write_alignments(file, rows)
    return rows
