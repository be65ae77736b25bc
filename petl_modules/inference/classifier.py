"""A trained run as a classifier of audio files."""

import torch
from speechbrain.utils.logger import get_logger

from petl_modules.inference.trained_model import CLASSIFICATION, TrainedModel
from petl_modules.utils import AudioError

logger = get_logger(__name__)


class Classifier:
    """A trained model with its features and class names.

    Arguments
    ---------
    run, device, backbone
        See ``petl_modules.inference.trained_model.TrainedModel``.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        See ``TrainedModel``; or it is a run of another task.
    """

    def __init__(self, run, device="cpu", backbone=None):
        self.trained = TrainedModel(run, device, backbone)
        self.folder, self.labels = self.trained.folder, self.trained.labels
        self.trained.require_task(CLASSIFICATION)

    @torch.inference_mode()
    def __call__(self, path, top=5):
        """Classify one file.

        What is odd about the file is logged as a warning, also if it is longer
        than what is used of it.

        Arguments
        ---------
        path : str or pathlib.Path
            An audio file of any rate and number of channels.
        top : int
            How many classes to return.

        Returns
        -------
        list of tuple
            Labels and their probabilities, the most probable first.

        Raises
        ------
        petl_modules.utils.AudioError
            If the file cannot be used, or the model makes no finite numbers
            of it.
        """
        run = self.trained
        clip = run.read(path)
        for remark in clip.remarks:
            logger.warning(f"{path}: {remark}")
        batch = run.features_of(clip)
        logits = run.windows.average(run.model, batch)
        if not logits.isfinite().all():
            raise AudioError(
                f"{path}: the model's outputs for it are not finite, so it "
                "has no class. Is the sound far louder than those of training?"
            )
        best = logits[0].softmax(-1).topk(min(top, len(self.labels)))
        labels = [self.labels[i] for i in best.indices.tolist()]
        return list(zip(labels, best.values.tolist()))
