"""A trained model, opened, with what prepares its input."""

from functools import cached_property

from petl_modules.data import window_features
from petl_modules.inference.facts import parts_of, results_of
from petl_modules.inference.members import (
    Ensemble,
    average_states,
    load_states,
    set_state,
)
from petl_modules.inference.opened import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
)
from petl_modules.inference.opening import open_model
from petl_modules.inference.plain import from_plain
from petl_modules.inference.run_fold import (
    ALL,
    AVERAGE,
    BEST,
    find_fold,
    read_threshold,
)
from petl_modules.inference.sounds import read_used
from petl_modules.inference.travelling_config import CONFIG
from petl_modules.methods import merge_methods
from petl_modules.models import WEIGHTS, load_trained, weights_sha256
from petl_modules.recognition import make_decoder
from petl_modules.runs.devices import check_device
from petl_modules.utils import HparamsError

__all__ = [
    "CLASSIFICATION",
    "RECOGNITION",
    "TrainedModel",
    "VERIFICATION",
    "find_fold",
]

COMMANDS = {
    CLASSIFICATION: "predict",
    VERIFICATION: "verify",
    RECOGNITION: "transcribe",
}


class TrainedModel:
    """The selected model of a fold, with what prepares its input.

    Arguments
    ---------
    run : str or pathlib.Path
        The folder of a run or of one fold; the file ``hyperparams.yaml`` in
        it can run code: load only runs that you trust. Or a travelling folder
        (``python -m petl_modules.export``), of which nothing runs; or its
        name on the Hugging Face hub, ``owner/name``.
    device : str
        Device of the model.
    backbone : str or None
        Another place of the backbone than in training.
    merge : bool
        Whether LoRA is merged into the backbone's weights.
    revision : str or None
        Of the hub: a branch, tag or commit. None: the newest.
    fold : str
        Of a run: ``best`` (see ``find_fold``), a fold's name, ``all`` (the
        mean of the logits) or ``average`` (the mean of the weights).

    Attributes
    ----------
    folder : pathlib.Path
        The folder of the fold, or the travelling folder.
    recipe : petl_modules.runs.RecipeFile or None
        The fold's recipe file. None: it is a travelling folder.
    settings : dict
        The recipe file's values, references resolved, no objects made; of a
        travelling folder, the content of ``config.json``.
    task : str
        ``CLASSIFICATION``, ``VERIFICATION`` or ``RECOGNITION``.
    features : callable
        See ``petl_modules.data.load_features``; of a test.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.
    labels : list of str
        What the head's outputs stand for.
    model : petl_modules.models.TunedModel
        In eval mode. Of ``all`` a ``petl_modules.inference.members.Ensemble``.
    base : str or None
        The frozen encoder: a path, or ``owner/name@commit``. None: all was
        trained from scratch.
    base_checked : bool
        Whether it is known that this is the base; see
        ``petl_modules.exports.cards.base.name_base``.
    backbone : str or None
        Where the base was loaded from.
    shared_as : str or None
        The name on the hub under which an export will be found.
    members : list of str
        Names of the folds whose outputs or weights are averaged, if any.
    weights_sha256 : str
        Digest of the trained weights.

    Raises
    ------
    FileNotFoundError
        If the folder has no trained model.
    UserError
        If the backbone cannot be loaded, the weights do not fit it, the folder
        is damaged, or there is no such device.
    """

    def __init__(
        self,
        run,
        device="cpu",
        backbone=None,
        merge=True,
        revision=None,
        fold=BEST,
    ):
        check_device(device)
        opened = open_model(run, revision, backbone, fold)
        for key in ("folder", "recipe", "settings", "task", "features"):
            setattr(self, key, getattr(opened, key))
        self.windows, self.labels = opened.windows, opened.labels
        self.base, self.base_checked = opened.base, True
        self.backbone = backbone or opened.base
        self.shared_as = None
        self.windows.require(self.features, ["test"])
        self.device = device
        self.model = opened.make_model().to(device).eval()
        weights, remedy = opened.weights, opened.remedy
        several = fold in (ALL, AVERAGE) or (
            self.travels and "members" in self.settings
        )
        self.members = [_fold_of(file) for file in weights] if several else []
        if several:
            states = load_states(self.model, weights, remedy)
            self._combine(states, fold == AVERAGE)
            return
        ((file, recorded),) = weights.items()
        load_trained(self.model, file, recorded, remedy)
        self.weights_sha256 = weights_sha256(self.model)
        if merge:
            merge_methods(self.model)

    def _combine(self, states, of_weights):
        """Average the weights of all folds, or make their outputs so."""
        if of_weights:
            set_state(self.model, average_states(self.model, states))
            self.weights_sha256 = weights_sha256(self.model)
            return
        self.require_task(CLASSIFICATION)
        self.model = Ensemble(self.model, states).eval()
        self.weights_sha256 = self.model.sha256

    @property
    def travels(self):
        """Whether it was opened from a travelling folder."""
        return self.recipe is None

    @cached_property
    def parts(self):
        """Model and input as plain data; see ``facts.parts_of``."""
        if self.travels:
            return self.settings["parts"]
        return parts_of(self.settings, self.task)

    @cached_property
    def about(self):
        """Data, protocol and results; see ``facts.results_of``."""
        if self.travels:
            return self.settings["about"]
        about = results_of(self.folder, self.settings)
        if self.members:
            averages = not isinstance(self.model, Ensemble)
            about["fold"] = AVERAGE if averages else ALL
            about["members"] = self.members
        return about

    @cached_property
    def threshold(self):
        """Of verification: from which score on two voices are one speaker's."""
        if self.travels:
            return self.settings["threshold"]
        return read_threshold(self.folder)

    @cached_property
    def decoder(self):
        """Of recognition: makes words of logits."""
        if not self.travels:
            return self.recipe["metrics"].decoder
        place = f"{self.folder / CONFIG}: parts.units"
        units = from_plain(self.settings["parts"]["units"], place)
        return make_decoder(self.settings["decoder"], units)

    def require_task(self, *tasks):
        """Refuse a run of another task; the error names that one's command.

        Arguments
        ---------
        *tasks : str
            Possible tasks.

        Raises
        ------
        HparamsError
            If the run's task is none of them.
        """
        if self.task not in tasks:
            raise HparamsError(
                f"{self.folder} is no run of {' or '.join(tasks)}, but of "
                f"{self.task}, for which there is python -m "
                f"petl_modules.{COMMANDS[self.task]}"
            )

    def read(self, sound, name=None):
        """Read as much of a sound as is used.

        Arguments
        ---------
        sound : object
            See ``petl_modules.inference.sounds.source_of``.
        name : str or None
            How errors name it. None: a file by its path.

        Returns
        -------
        petl_modules.data.audio.Clip
        """
        return read_used(sound, self.features, self.windows, name)

    def features_of(self, clip):
        """Return a clip's features as a batch on the model's device.

        Arguments
        ---------
        clip : petl_modules.data.audio.Clip
            The result of ``read``.

        Returns
        -------
        torch.Tensor
            ``[1, time, ...]``, or ``[1, windows, time, ...]``.
        """
        found = window_features(self.windows, self.features, clip.samples)
        return found.unsqueeze(0).to(self.device)


def _fold_of(file):
    """Return the name of the fold that a file of weights is of."""
    return file.parent.name if file.name == WEIGHTS else file.stem
