"""A trained run as an embedder of sounds, and as a speaker verifier."""

import math

import numpy as np
import torch
from speechbrain.utils.logger import get_logger

from petl_modules.data.levels import SILENT
from petl_modules.inference.sound_lists import named
from petl_modules.inference.sounds import title_of
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
    """A trained model that gives one direction for each sound.

    What can be given as a sound, ``petl_modules.inference.AudioClassifier``
    says.

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
    def windows(self, sound, name=None):
        """Return the directions of a sound's windows, ``[1, windows, size]``.

        Arguments
        ---------
        sound : object
            One sound.
        name : str or None
            How messages name it. None: a file by its path.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        petl_modules.utils.AudioError
            If the sound cannot be used, is silent or too short, or the model
            makes no finite numbers of it.
        """
        name = name or title_of(sound)
        run, clip = self.trained, self.trained.read(sound, name)
        rate = run.features.sample_rate
        for remark in clip.remarks:
            if remark == SILENT:
                raise AudioError(f"{name}: {remark}, and so no voice or sound")
            logger.warning(f"{name}: {remark}")
        if len(clip.samples) < self.shortest * rate:
            raise AudioError(
                f"{name}: {len(clip.samples) / rate:.2f} s are too short to "
                f"recognise a speaker: {self.shortest} s at least are needed"
            )
        embeddings = embed_windows(
            run.model, run.windows, run.features, run.features_of(clip)
        )
        try:
            return unit_vectors([name], embeddings.float().cpu().numpy())
        except ValueError as error:
            raise AudioError(f"{name}: {error}") from error

    def __call__(self, sounds):
        """Embed sounds.

        Arguments
        ---------
        sounds : object
            One sound, or a list of sounds, a folder or a pattern.

        Returns
        -------
        numpy.ndarray
            Unit vectors, ``[sounds, size]``.
        """
        units = [self.windows(sound, name) for name, sound in named(sounds)]
        return np.concatenate([clip_vectors(one) for one in units])


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

    def embed(self, sounds):
        """Return unit vectors ``[sounds, size]``; see ``Embedder``."""
        return self.embedder(sounds)

    def __call__(self, first, second):
        """Compare two sounds.

        Arguments
        ---------
        first, second : object
            See ``Embedder``.

        Returns
        -------
        score : float
            The higher the more alike.
        same : bool
            Whether the score is at least the threshold.
        """
        units = [self.embedder.windows(one) for one in (first, second)]
        return self.compare(np.concatenate(units), [0], [1])[0]

    def compare(self, units, first, second):
        """Compare embedded sounds.

        Arguments
        ---------
        units : numpy.ndarray
            Directions of the sounds' windows, ``[sounds, windows, size]``.
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
