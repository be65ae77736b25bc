"""``config.json`` of a folder that travels: what it says, and its checks."""

import hashlib
import json
import re

from petl_modules.inference.opened import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
)
from petl_modules.models import WEIGHTS
from petl_modules.utils import (
    CheckpointError,
    HparamsError,
    brief,
    damaged,
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
