"""The frozen encoder of a trained model: its name for others, its licence."""

import re
from typing import NamedTuple

from petl_modules.backbones import find_checkpoint, is_path
from petl_modules.inference.plain import from_plain
from petl_modules.utils import DownloadError, ExportError, HparamsError

UNKNOWN = "unknown"
# By the beginning of a name on the hub, in small letters: the licence of the
# weights as it was published, by the hub's names of licences
LICENCES = {
    "facebook/data2vec-audio": "apache-2.0",
    "facebook/hubert": "apache-2.0",
    "facebook/mms": "cc-by-nc-4.0",
    "facebook/w2v-bert": "mit",
    "facebook/wav2vec2": "apache-2.0",
    "m-a-p/mert": "cc-by-nc-4.0",
    "microsoft/wavlm": UNKNOWN,
    "mit/ast": "bsd-3-clause",
    "openai/whisper": "apache-2.0",
}
UNCLEAR = {
    "microsoft/wavlm": "its code is under MIT, and its page names CC BY-SA 3.0"
}


class Base(NamedTuple):
    """A frozen encoder.

    Arguments
    ---------
    name : str or None
        ``owner/name`` of the hub, or a path. None: there is none.
    revision : str or None
        A commit of the hub.
    """

    name: str | None
    revision: str | None

    @property
    def is_published(self):
        """Whether others find it by this name."""
        if self.name is None or self.revision is not None:
            return self.name is not None
        return not is_path(self.name)

    @property
    def licence(self):
        """Licence of its weights by the hub's names, or ``unknown``."""
        return LICENCES.get(self._family(), UNKNOWN)

    def _family(self):
        name = (self.name or "").lower()
        known = [start for start in LICENCES if name.startswith(start)]
        return known[0] if self.is_published and known else None

    def terms(self):
        """Return what the licence means for users, in sentences."""
        licence, family = self.licence, self._family()
        if "-nc" in licence:
            return (
                f"**Its weights were published under {licence}, which does not "
                "allow commercial use.** This holds for what is computed with "
                "them."
            )
        if family in UNCLEAR:
            return (
                f"**The licence of its weights is unclear: {UNCLEAR[family]}.** "
                "Ask its authors before you use it commercially."
            )
        if licence == UNKNOWN:
            return (
                "**The licence of its weights is not known here.** Look it up "
                "where it was published before you share or use this model."
            )
        return f"Its weights were published under {licence}."


def base_of(trained):
    """Return the base of a trained model.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.

    Returns
    -------
    Base
    """
    name, at, revision = (trained.base or "").rpartition("@")
    if at and (not is_path(name) or re.fullmatch("[0-9a-f]{40}", revision)):
        return Base(name, revision)
    return Base(trained.base, None)


def name_base(trained, name):
    """Say under which name on the hub others find a model's base.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model; its ``base`` is set, and ``base_checked``: whether the hub
        was reached and has these weights.
    name : str
        ``owner/name`` or ``owner/name@revision``.

    Raises
    ------
    ExportError
        If the model has no base, or the hub has other weights of that name.
    HparamsError
        If it is no such name.
    """
    weights = trained.model.settings()["encoder"]["backbone"].get("weights")
    if weights is None:
        raise ExportError(
            f"base_model is '{name}', and {trained.folder} was trained from "
            "scratch: leave it out"
        )
    if is_path(name.partition("@")[0]):
        raise HparamsError(
            f"base_model '{name}' is no name on the Hugging Face hub, such as "
            "owner/name, or its first part is a folder here"
        )
    try:
        source = find_checkpoint(name).source
        part = trained.parts["model"]["encoder"]["backbone"]
        found = from_plain(part, f"base_model '{name}'", source)
    except DownloadError:
        trained.base, trained.base_checked = name, False
        return
    if found.settings["weights"] != weights:
        raise ExportError(
            f"base_model '{name}' has the weights "
            f"{found.settings['weights'][:12]}..., and {trained.folder} was "
            f"trained on {weights[:12]}...: name the encoder that it was "
            "trained on"
        )
    trained.base, trained.base_checked = source, True
