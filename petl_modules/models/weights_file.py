"""Files of trained weights: how they are written, read and verified."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from petl_modules.models.old_names import upgrade_checkpoint, upgrade_methods
from petl_modules.utils import CheckpointError, versions, write_bytes

# 1: before the encoder, the pooling and the head were apart
# 2: without a digest, and without the configuration of the backbone
FORMAT = 3
WEIGHTS = "model.safetensors"  # of a fold, in its folder
REMEDY = "Delete its fold's folder to train again, or restore an intact copy"


def digest(state):
    """Return the SHA-256 of the names and bytes of tensors.

    Arguments
    ---------
    state : dict
        Tensors by name.

    Returns
    -------
    str
    """
    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(name.encode())
        found.update(_bytes(value))
    return found.hexdigest()


def write_trained(state, settings, path):
    """Write trained tensors and what they fit, atomically.

    Arguments
    ---------
    state : dict
        Tensors by name.
    settings : dict
        Plain data that a model must share to load them.
    path : str or pathlib.Path
        The file, in safetensors format.
    """
    state = {k: v.cpu().contiguous() for k, v in state.items()}
    about = {"format": FORMAT, "settings": settings, "versions": versions()}
    text = json.dumps(about)
    metadata = {"petl": text, "sha256": file_seal(text, state)}
    write_bytes(path, save(state, metadata))


def read_trained(path, sha256=None, remedy=REMEDY):
    """Read and verify trained tensors, without a model.

    A file of an earlier format is returned as one of today's; it has no
    digest of its own.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    sha256 : str or None
        The ``weights_sha256`` that the fold's result has. None: not known.
    remedy : str
        What to do if it is damaged.

    Returns
    -------
    tuple of dict
        The tensors by name, and the metadata.

    Raises
    ------
    CheckpointError
        If the file is none of ours, is damaged or was changed, or has values
        that are not finite.
    """
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            raise FileNotFoundError("there is no such file")
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(metadata.get("petl", "null"))
    except Exception as error:  # of safetensors, torch, json and the disk
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {error}. {remedy}"
        ) from error
    form = about.get("format") if isinstance(about, dict) else None
    if form not in (1, 2, FORMAT):
        raise CheckpointError(
            f"{path} is no checkpoint of a tuned model, or of another format"
        )
    _verify(path, state, metadata, form, sha256, remedy)
    try:
        if form == 1:
            state, about = upgrade_checkpoint(state, about)
        encoder = about["settings"]["encoder"]
        encoder["backbone"].items()
        encoder["methods"] = upgrade_methods(encoder["methods"])
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged: its settings are incomplete. {remedy}"
        ) from error
    return state, about


def _verify(path, state, metadata, form, sha256, remedy):
    """Refuse tensors that are not those that were written, or not finite."""
    seal = metadata.get("sha256")
    if (form == FORMAT or seal is not None) and seal != file_seal(
        metadata["petl"], state
    ):
        raise CheckpointError(
            f"{path} is damaged or was changed: its SHA-256 is not the one "
            f"written in it. {remedy}"
        )
    if sha256 is not None and digest(state) != sha256:
        raise CheckpointError(
            f"{path} holds other weights than those of its result: their "
            f"SHA-256 is not {sha256[:12]}... (weights_sha256 beside it). "
            f"{remedy}"
        )
    for name, value in state.items():
        if value.is_floating_point() and not value.double().isfinite().all():
            raise CheckpointError(
                f"{path}: {name} holds values that are not finite: its "
                f"training diverged, or the file is damaged. {remedy}. What "
                "diverged needs a smaller lr"
            )


def file_seal(text, state):
    """Return the SHA-256 of all that a file says and holds."""
    whole = hashlib.sha256(text.encode())
    for name, value in sorted(state.items()):
        form = [name, str(value.dtype), list(value.shape)]
        whole.update(json.dumps(form).encode())
        whole.update(_bytes(value))
    return whole.hexdigest()


def _bytes(value):
    """Return the bytes of a tensor of any dtype."""
    return value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
