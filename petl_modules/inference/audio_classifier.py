"""A trained run as a classifier of sounds."""

from functools import partial

import numpy as np

from petl_modules.inference.batches import BATCH, outputs_of, require_counts
from petl_modules.inference.members import Ensemble
from petl_modules.inference.recordings import (
    WindowStream,
    good,
    score_recording,
)
from petl_modules.inference.sound_lists import is_one, named
from petl_modules.inference.trained_model import CLASSIFICATION, TrainedModel
from petl_modules.inference.window_cutter import in_samples
from petl_modules.inference.window_scores import best_of
from petl_modules.models import layer_means
from petl_modules.utils import AudioError


class AudioClassifier:
    """A trained model with its features and class names.

    A sound is a path; the bytes of an audio file; a binary file object;
    ``(array, rate)`` with floats in -1 .. 1, ``[time]`` or ``[channels,
    time]``; or a dict as the library ``datasets`` gives it. Many are a list
    of these, a folder, or a pattern such as ``sounds/*.wav``. All are read as
    in training: any rate is converted, channels are averaged. What is odd
    about a sound is logged as a warning, also if it is cut because it is
    longer than what the model takes.

    Arguments
    ---------
    run, device, backbone, revision
        See ``petl_modules.inference.trained_model.TrainedModel``.

    Attributes
    ----------
    labels : list of str
        Names of the classes.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        See ``TrainedModel``; or it is a run of another task.
    """

    def __init__(self, run, device="cpu", backbone=None, revision=None):
        self.trained = TrainedModel(run, device, backbone, revision=revision)
        self.folder, self.labels = self.trained.folder, self.trained.labels
        self.trained.require_task(CLASSIFICATION)

    @classmethod
    def from_pretrained(
        cls, source, revision=None, device="cpu", backbone=None
    ):
        """Open a trained model.

        Arguments
        ---------
        source : str or pathlib.Path
            The folder of a run or of one fold, an exported folder, or its
            name on the Hugging Face hub.
        revision : str or None
            Of the hub.
        device, backbone
            See ``TrainedModel``.

        Returns
        -------
        AudioClassifier
        """
        return cls(source, device, backbone, revision)

    def __call__(
        self, sounds, top=5, *, batch_size=BATCH, window=None, hop=None
    ):
        """Classify sounds.

        Arguments
        ---------
        sounds : object
            One sound or many, see the class.
        top : int or None
            How many classes to return. None: all.
        batch_size : int
            Sounds, or windows, that the model takes at a time.
        window : float or None
            Seconds of the windows in which a long recording is classified,
            in memory that does not depend on its length. They begin every
            ``hop`` seconds, and the last one ends with the recording. None:
            the sound is classified as in the tests of training.
        hop : float or None
            None: windows do not overlap.

        Returns
        -------
        list of tuple, or WindowScores
            Labels and their probabilities, the most probable first; with a
            window, see ``petl_modules.inference.window_scores``. Of many
            sounds, a list of these.

        Raises
        ------
        petl_modules.utils.AudioError
            If a sound cannot be used, or the model makes no finite numbers
            of it.
        petl_modules.utils.HparamsError
            If ``top``, ``batch_size``, ``window`` or ``hop`` has no such value.
        """
        if top is not None:
            require_counts(top=top)
        if window is None:
            rows = self.predict_proba(sounds, batch_size)
            found = [best_of(row, self.labels, top) for row in rows]
        else:
            spans = in_samples(self.trained, window, hop)
            found = [
                score_recording(self, *sound, spans, batch_size)
                for sound in named(sounds)
            ]
        return found[0] if is_one(sounds) else found

    def predict_proba(self, sounds, batch_size=BATCH):
        """Return the probabilities of all classes.

        Arguments
        ---------
        sounds, batch_size
            See ``__call__``.

        Returns
        -------
        numpy.ndarray
            ``[sounds, classes]``, in the order of ``labels``.

        Raises
        ------
        petl_modules.utils.AudioError
            See ``__call__``.
        """
        rows = [*good(self.each(named(sounds), batch_size))]
        return np.array(rows, "float32").reshape(-1, len(self.labels))

    def each(self, sounds, batch_size=BATCH, read=None):
        """Yield the probabilities of sounds, as they are computed.

        Arguments
        ---------
        sounds : iterable of tuple
            A name, and the sound.
        batch_size : int
            See ``__call__``.
        read : callable or None
            Returns the ``Clip`` of a name and a sound. None: as training.

        Yields
        ------
        name : str
        probabilities : numpy.ndarray or petl_modules.utils.AudioError
            ``[classes]``, or why there are none.
        """
        model = self.trained.model
        for name, logits in self._outputs(model, sounds, batch_size, read):
            if not isinstance(logits, AudioError):
                logits = logits.softmax(-1).numpy()
            yield name, logits

    def embed(self, sounds, layers=False, batch_size=BATCH):
        """Return the vectors that the classes are told from.

        Arguments
        ---------
        sounds, batch_size
            See ``__call__``.
        layers : bool
            Whether to return the mean over time of every layer's states, that
            of the first layer's input in front.

        Returns
        -------
        numpy.ndarray
            ``[sounds, width]``; of the layers ``[sounds, layers + 1, width]``.

        Raises
        ------
        petl_modules.utils.AudioError
            See ``__call__``.
        petl_modules.utils.HparamsError
            If layers are wanted of a model with prompts in some of them alone,
            or if it is an ensemble of folds.
        """
        model = self.trained.model
        compute = model.embed
        if layers and not isinstance(model, Ensemble):  # which refuses
            compute = partial(layer_means, model)
        found = self._outputs(compute, named(sounds), batch_size)
        rows = [row.numpy() for row in good(found)]
        if not layers:
            return _stacked(rows)
        width = model.encoder.d_model
        return _stacked([row.reshape(-1, width) for row in rows])

    def stream(self, window, hop=None, rate=None, top=5):
        """Return what classifies a sound while it comes.

        Arguments
        ---------
        window, hop, top
            See ``__call__``.
        rate : int or None
            Sampling rate of the chunks in Hz. None: the model's.

        Returns
        -------
        petl_modules.inference.recordings.WindowStream

        Raises
        ------
        petl_modules.utils.HparamsError
            See ``__call__``.
        """
        if top is not None:
            require_counts(top=top)
        spans = in_samples(self.trained, window, hop)
        return WindowStream(self, *spans, rate, top)

    def _outputs(self, compute, sounds, batch_size, read=None):
        """Yield name and outputs, or an error, of sounds."""
        require_counts(batch_size=batch_size)
        read = read or (lambda item: self.trained.read(item[1], item[0]))
        yield from outputs_of(self.trained, compute, sounds, read, batch_size)


def _stacked(rows):
    """Return rows as one array, also if there are none."""
    return np.stack(rows) if rows else np.empty((0, 0), "float32")
