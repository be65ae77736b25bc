"""Open a folder that travels: plain data, which runs no code.

``config.json`` says what the model is made of, ``model.safetensors`` holds what
was trained; the frozen encoder comes from where it is published. Neither YAML
nor a pickle is read.
"""

from functools import partial
from pathlib import Path

import torch

from petl_modules.backbones import fetch_file, find_commit
from petl_modules.data import Windows
from petl_modules.inference.opened import Opened
from petl_modules.inference.plain import FEATURES, from_plain
from petl_modules.inference.travelling_config import (
    CONFIG,
    REMEDY,
    read_travelling,
    weights_of,
)
from petl_modules.models import TunedModel
from petl_modules.utils import (
    CheckpointError,
    DownloadError,
    HparamsError,
    UserError,
    brief,
    damaged,
    naming,
)

KINDS = {"features": FEATURES, "windows": Windows, "model": TunedModel}


def open_travelling(folder, backbone=None):
    """Open a travelling folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    backbone : str or None
        Another place of the frozen encoder.

    Returns
    -------
    petl_modules.inference.opened.Opened

    Raises
    ------
    UserError
        If the folder is damaged or incomplete, or its base is not found or
        another one.
    """
    config = read_travelling(folder)
    weights = weights_of(config)
    for name in weights:
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} has no {name}, the weights that were trained. "
                f"{REMEDY}"
            )
    base = config["base_model"]
    if base is not None and config["base_revision"] is not None:
        base = f"{base}@{config['base_revision']}"
    if backbone is not None and base is None:
        raise HparamsError(
            f"{folder} was trained from scratch: it has no backbone that could "
            f"be '{backbone}'"
        )
    made = {
        key: _make_part(folder, config, key) for key in ("features", "windows")
    }
    _try_features(made["features"], config, folder / CONFIG)
    return Opened(
        folder=folder,
        task=config["task"],
        settings=config,
        labels=config["parts"]["model"]["must_match"]["labels"],
        base=base,
        weights={folder / k: digest for k, digest in weights.items()},
        remedy=REMEDY,
        make_model=partial(_make_model, folder, config, backbone or base),
        **made,
    )


def _try_features(features, config, file):
    """Refuse features that take no sound of the rate that is said."""
    rate, place = config["sampling_rate"], f"{file}: parts.features"
    found = getattr(features, "sample_rate", None)
    if type(found) is not int or found != rate:
        reason = f"parts.features.sample_rate is {brief(repr(found))}"
        raise damaged(file, f"{reason}, and sampling_rate {rate}", REMEDY)
    with naming(place):
        made = features(torch.zeros(rate))
    if not isinstance(made, torch.Tensor):
        reason = f"parts.features make a {type(made).__name__}"
        raise damaged(file, reason, REMEDY)


def _make_model(folder, config, source):
    """Return the model, whose base must be that of the training."""
    model = _make_part(folder, config, "model", str(source))
    _require_base(folder, config, model, source)
    return model


def _make_part(folder, config, key, source=None):
    """Return the object of one part."""
    file = folder / CONFIG
    place = f"{file}: parts.{key}"
    try:
        made = from_plain(config["parts"][key], place, source)
    except (MemoryError, RuntimeError) as error:
        raise HparamsError(f"{place}: {brief(error)}") from error
    except OSError as error:
        raise HparamsError(f"{place}: {error}") from error
    except DownloadError as error:
        raise DownloadError(f"{error}. {_elsewhere(config)}") from error
    except UserError as error:
        if "backbone '" not in str(error):
            raise
        raise HparamsError(f"{error}. {_elsewhere(config)}") from error
    if isinstance(made, KINDS[key]):
        return made
    raise damaged(file, f"parts.{key} makes a {type(made).__name__}", REMEDY)


def _elsewhere(config):
    """Return how another place of the base is given."""
    return (
        f"The frozen encoder of this model is {config['base_model']}; if you "
        "have it elsewhere, give its path as 'backbone'"
    )


def _require_base(folder, config, model, source):
    """Refuse another base than that of the training."""
    found = model.settings()["encoder"]["backbone"].get("weights")
    if found != config["base_weights"]:
        raise CheckpointError(
            f"{folder} was trained on the encoder {config['base_model']} with "
            f"the weights {str(config['base_weights'])[:12]}..., and "
            f"'{source}' has {str(found)[:12]}...: it is another one, or a "
            f"damaged copy. {_elsewhere(config)}"
        )


def fetch_travelling(name, revision=None):
    """Download the few files of a travelling folder, as far as not cached.

    Arguments
    ---------
    name : str
        ``owner/name`` of the Hugging Face hub.
    revision : str or None
        A branch, tag or commit. None: the newest.

    Returns
    -------
    pathlib.Path
        The folder in the hub's cache.

    Raises
    ------
    UserError
        If the hub has no such model, or cannot be reached and the cache has
        no copy.
    """
    commit, offline = find_commit(name, revision, "model")

    def fetch(file):
        return fetch_file(name, file, commit=commit, offline=offline)

    try:
        folder = Path(fetch(CONFIG)).parent
        for file in weights_of(read_travelling(folder)):
            fetch(file)
    except UserError:
        raise
    except Exception as error:  # the client's and the network's own
        raise DownloadError(
            f"model '{name}@{commit}' could not be downloaded: "
            f"{brief(error)}. Run the same again to go on, or copy the folder "
            "here and pass its path"
        ) from error
    return folder
