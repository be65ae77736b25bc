"""Open a folder that travels: plain data, which runs no code.

``config.json`` says what the model is made of, ``model.safetensors`` holds what
was trained; the frozen encoder comes from where it is published. Neither YAML
nor a pickle is read.
"""

import hashlib
import json
import re
from functools import partial
from pathlib import Path

import torch

from petl_modules.backbones import fetch_file, find_commit
from petl_modules.data import Windows
from petl_modules.inference.opened import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
    Opened,
)
from petl_modules.inference.plain import FEATURES, from_plain
from petl_modules.models import WEIGHTS, TunedModel
from petl_modules.utils import (
    CheckpointError,
    DownloadError,
    HparamsError,
    UserError,
    brief,
    damaged,
    naming,
    parse_json,
    problem,
    read_bytes,
)

CONFIG = "config.json"
KIND = "petl-audio"
FORMAT = 1
LARGEST = 50_000_000  # bytes of config.json
REMEDY = "Download or copy the folder again, or export the run again"
SHA256 = re.compile("[0-9a-f]{64}")
MEMBER = re.compile(r"fold\d+(-draw\d+)?\.safetensors")
TASKS = (CLASSIFICATION, VERIFICATION, RECOGNITION)
PLAIN = {str: object}
KINDS = {"features": FEATURES, "windows": Windows, "model": TunedModel}
FORM = {
    "task": re.compile("|".join(TASKS)),
    "base_model": (str, None),
    "base_revision": (str, None),
    "base_weights": (SHA256, None),
    "weights_sha256": SHA256,
    "members?": {str: SHA256},
    "id2label": {str: str},
    "sampling_rate": range(1, 1 << 20),
    "parts": {
        "features": PLAIN,
        "windows": PLAIN,
        "model": {"must_match": {"labels": [str]}},
        "units?": PLAIN,
    },
    "scoring?": str,
    "threshold?": float,
    "decoder?": str,
    "about": {
        "fold?": (str, None),
        "protocol?": (str, None),
        "folds?": [{"fold": str, "valid": (float, None), "test": float}],
        "metric?": {"name": str, "mode": re.compile("min|max")},
        "combined?": str,
    },
    "config_sha256": SHA256,
}
# What a model of a task has as well
MORE = {
    CLASSIFICATION: {},
    VERIFICATION: {"scoring": str, "threshold": float},
    RECOGNITION: {"decoder": str, "parts": {"units": PLAIN}},
}
# What config_sha256 is of: all that changes how the folder is opened
SEALED = [key.removesuffix("?") for key in FORM if key != "config_sha256"]
SEALED.remove("about")


def seal_of(config):
    """Return the SHA-256 of what a ``config.json`` says of its model."""
    said = {key: config[key] for key in SEALED if key in config}
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_travelling(folder):
    """Read the ``config.json`` of a travelling folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.

    Returns
    -------
    dict

    Raises
    ------
    HparamsError
        If it is a folder of something else, or of a newer format.
    DataError
        If the file was changed.
    """
    file = folder / CONFIG
    if file.is_file() and file.stat().st_size > LARGEST:
        raise damaged(file, f"it has more than {LARGEST} bytes", REMEDY)
    config = parse_json(
        read_bytes(file, REMEDY), {"model_type?": object}, file, REMEDY
    )
    if config.get("model_type") != KIND:
        raise HparamsError(
            f"{folder} is no model of this project: {file} is that of a "
            f"{brief(repr(config.get('model_type')))}, not of a '{KIND}'"
        )
    version = config.get("format")
    if type(version) is int and version > FORMAT:
        raise HparamsError(
            f"{file} has format {version}, and this version of petl_modules "
            f"knows formats up to {FORMAT}: install a newer one"
        )
    if version != FORMAT:
        raise damaged(file, f"its format is {brief(repr(version))}", REMEDY)
    reason = problem(config, FORM) or problem(config, MORE[config["task"]])
    if reason is None and config["about"].get("folds"):
        reason = problem(config["about"], {"metric": object})
    if reason:
        raise damaged(file, reason, REMEDY)
    for name in config.get("members", ()):
        if not MEMBER.fullmatch(name):
            reason = f"members: {brief(repr(name))} is no file of a fold"
            raise damaged(file, reason, REMEDY)
    _require_labels(config, file)
    if seal_of(config) != config["config_sha256"]:
        reason = "it is not what config_sha256 is the SHA-256 of"
        raise damaged(file, reason, REMEDY)
    return config


def _require_labels(config, file):
    """Refuse two lists of classes that differ."""
    names, labels = config["id2label"], config["parts"]["model"]["must_match"]
    labels = labels["labels"]
    numbered = {str(i): label for i, label in enumerate(labels)}
    if names != numbered:
        keys = [key for key in {**numbered, **names}]
        key = next(k for k in keys if names.get(k) != numbered.get(k))
        raise CheckpointError(
            f"{file}: class {key} is {names.get(key)!r} in id2label and "
            f"{numbered.get(key)!r} in must_match.labels of the model, which "
            f"was trained with the latter. {REMEDY}"
        )


def weights_of(config):
    """Return the files of trained weights, and their digests."""
    return config.get("members") or {WEIGHTS: config["weights_sha256"]}


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
