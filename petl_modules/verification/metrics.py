"""Metrics of a verification system: embeddings of clips, error rates of trials."""

import numpy as np
import torch

from petl_modules.utils import HparamsError, n_processes
from petl_modules.verification.error_rates import error_curve
from petl_modules.verification.scoring import (
    check_scoring,
    score_trials,
    unit_vectors,
)


class VerificationMetrics:
    """Embeddings of one pass over a dataset, and the error rates of trials.

    Each clip is embedded once, however many trials have it.

    Arguments
    ---------
    scoring : str
        See ``petl_modules.verification.score_trials``.
    score_norm : str
        ``as-norm``: ``evaluate_trials`` reports the test's error rates of
        normalised scores as well. ``none``: it does not.

    Raises
    ------
    HparamsError
        There is no such choice, or they do not go together.

    Example
    -------
    >>> from petl_modules.verification import Trials
    >>> metrics = VerificationMetrics()
    >>> metrics.append(["a", "b", "c"], torch.tensor([[[1.0, 0]], [[2, 1]], [[0, 1]]]))
    >>> trials = Trials(["a", "a"], ["b", "c"], np.array([True, False]), "")
    >>> {name: round(value, 3) for name, value in metrics.summarize(trials).items()}
    {'eer': 0.0, 'min_dcf': 0.0, 'threshold': 0.894}
    """

    names = ("eer", "min_dcf", "threshold")  # of ``summarize``

    def __init__(self, scoring="cosine", score_norm="none"):
        check_scoring(scoring, score_norm)
        self.scoring = scoring
        self.score_norm = score_norm
        self.clear()

    def clear(self):
        """Start a new pass."""
        self.batches = []

    def append(self, ids, embeddings):
        """Keep the embeddings of a batch.

        Arguments
        ---------
        ids : list of str
            The clips' ids.
        embeddings : torch.Tensor
            ``[batch, windows, size]``.
        """
        self.batches.append((ids, embeddings.detach().float()))

    def embeddings(self):
        """Return the clips of all processes and their directions.

        Returns
        -------
        clips : list of str
            Ids, sorted.
        units : numpy.ndarray
            ``[clips, windows, size]``, see ``unit_vectors``.

        Raises
        ------
        DataError
            If an embedding has no direction; names the clips.
        """
        found = {
            clip: row
            for ids, rows in self.batches
            for clip, row in zip(ids, rows.cpu().numpy())
        }
        if n_processes() > 1:
            parts = [None] * n_processes()
            torch.distributed.all_gather_object(parts, found)
            found = {clip: row for part in parts for clip, row in part.items()}
        clips = sorted(found)
        return clips, unit_vectors(clips, np.stack([found[c] for c in clips]))

    def scores(self, trials):
        """Return the scores of trials, ``[trials]``.

        Arguments
        ---------
        trials : petl_modules.verification.Trials
            Trials of clips that this pass has seen.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        HparamsError
            A clip was not seen, as a debug run stops after some batches.
        """
        clips, units = self.embeddings()
        if missing := {*trials.clips()} - {*clips}:
            raise HparamsError(
                f"{len(missing)} clips of the trials have no embedding, such "
                f"as {min(missing)}. A debug run stops after some batches: "
                "give a larger --debug_batches or --test_batch_size"
            )
        return score_trials(units, *trials.places(clips), self.scoring)

    def summarize(self, trials):
        """Return the error rates of trials.

        Arguments
        ---------
        trials : petl_modules.verification.Trials
            See ``scores``.

        Returns
        -------
        dict
            ``eer``, ``min_dcf`` (of a prior of 0.01) and ``threshold``, that
            of the equal error rate.
        """
        curve = error_curve(self.scores(trials), trials.same)
        rate, threshold = curve.eer()
        return {
            "eer": rate,
            "min_dcf": curve.min_dcf(),
            "threshold": threshold,
        }
