"""A trained run as an embedder of audio files, and as a speaker verifier."""

import math

import numpy as np
import torch
from speechbrain.utils.logger import get_logger

from petl_modules.data.levels import SILENT
from petl_modules.inference.trained_model import (
    CLASSIFICATION,
    VERIFICATION,
    TrainedModel,
)
from petl_modules.utils import AudioError, HparamsError
from petl_modules.verification import (
    SHORTEST,
    clip_vectors,
    embed_windows,
    score_trials,
    unit_vectors,
)

logger = get_logger(__name__)


class Embedder:
    """A trained model that gives one direction for each file.

    Arguments
    ---------
    run : str or pathlib.Path
        A run of verification or classification; see
        ``petl_modules.inference.trained_model.TrainedModel``.
    device : str
        Device of the model.
    backbone : str or None
        Another place of the backbone than in training.
    shortest : float
        Shorter clips, in seconds, are refused.

    Raises
    ------
    UserError
        See ``TrainedModel``; or it is a run of speech recognition.
    """

    def __init__(self, run, device="cpu", backbone=None, shortest=0.0):
        self.trained = TrainedModel(run, device, backbone)
        self.trained.require_task(CLASSIFICATION, VERIFICATION)
        self.shortest = shortest

    @torch.inference_mode()
    def windows(self, path):
        """Return the directions of a file's windows, ``[1, windows, size]``.

        Arguments
        ---------
        path : str or pathlib.Path
            An audio file of any rate and number of channels.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        petl_modules.utils.AudioError
            If the file cannot be used, is silent or too short, or the model
            makes no finite numbers of it.
        """
        run, clip = self.trained, self.trained.read(path)
        rate = run.features.sample_rate
        for remark in clip.remarks:
            if remark == SILENT:
                raise AudioError(f"{path}: {remark}, and so no voice or sound")
            logger.warning(f"{path}: {remark}")
        if len(clip.samples) < self.shortest * rate:
            raise AudioError(
                f"{path}: {len(clip.samples) / rate:.2f} s are too short to "
                f"recognise a speaker: {self.shortest} s at least are needed"
            )
        embeddings = embed_windows(
            run.model, run.windows, run.features, run.features_of(clip)
        )
        try:
            return unit_vectors([str(path)], embeddings.float().cpu().numpy())
        except ValueError as error:
            raise AudioError(f"{path}: {error}") from error

    def __call__(self, paths):
        """Embed files.

        Arguments
        ---------
        paths : iterable of str or pathlib.Path
            See ``windows``.

        Returns
        -------
        numpy.ndarray
            Unit vectors, ``[files, size]``.
        """
        return np.concatenate([clip_vectors(self.windows(p)) for p in paths])


class Verifier:
    """A trained speaker model that compares two recordings.

    Arguments
    ---------
    run : str or pathlib.Path
        A run of speaker verification; see ``Embedder``.
    device, backbone
        See ``Embedder``.
    threshold : float or None
        Scores from it on are of one speaker. None: the run's own, at which
        both error rates were equal for its validation speakers.

    Raises
    ------
    UserError
        See ``Embedder``; or it is a run of another task, or the threshold is
        not finite.
    """

    def __init__(self, run, device="cpu", backbone=None, threshold=None):
        self.embedder = Embedder(run, device, backbone, SHORTEST)
        self.embedder.trained.require_task(VERIFICATION)
        self.scoring = str(self.embedder.trained.settings["scoring"])
        if threshold is None:
            threshold = self.embedder.trained.threshold
        elif not math.isfinite(threshold):
            raise HparamsError(
                f"the threshold is {threshold}: give a number, or none for "
                "that of the run"
            )
        self.threshold = threshold

    def embed(self, paths):
        """Return unit vectors ``[files, size]``; see ``Embedder``."""
        return self.embedder(paths)

    def __call__(self, first, second):
        """Compare two files.

        Arguments
        ---------
        first, second : str or pathlib.Path
            Audio files.

        Returns
        -------
        score : float
            The higher the more alike.
        same : bool
            Whether the score is at least the threshold.
        """
        units = [self.embedder.windows(path) for path in (first, second)]
        return self.compare(np.concatenate(units), [0], [1])[0]

    def compare(self, units, first, second):
        """Compare embedded files.

        Arguments
        ---------
        units : numpy.ndarray
            Directions of the files' windows, ``[files, windows, size]``.
        first, second : list of int
            Places in ``units``.

        Returns
        -------
        list of tuple
            Score and decision of each pair.
        """
        sides = np.array(first), np.array(second)
        scores = score_trials(units, *sides, self.scoring)
        return [(float(x), bool(x >= self.threshold)) for x in scores]
