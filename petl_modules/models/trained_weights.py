"""Checkpoints of a tuned model: what was trained, and what it fits.

A file holds the trained parameters and the buffers of trained modules, under
names that do not depend on the wrappers (``head.weight``, ``layer_weights``,
``0.layers.3.attention.phi``, ``backbone.layers.3.ffn_norm.weight``), and in
its metadata everything that a model must share to load it.
"""

import hashlib
import json

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from petl_modules.models.old_names import upgrade_checkpoint
from petl_modules.models.settings import differences
from petl_modules.utils import CheckpointError, versions, write_bytes

FORMAT = 2  # 1: before the encoder, the pooling and the head were apart
WEIGHTS = "model.safetensors"  # of a fold, in its folder


def trained_state(model):
    """Return the trained tensors of a model.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.

    Returns
    -------
    dict
        From name to tensor; the tensors share the model's memory.
    """
    encoder, parts = model.encoder, {"head": model.head}
    if model.pooling is not None:
        parts["pooling"] = model.pooling
    for key, path in encoder.inserted.items():
        parts[key] = encoder.get_submodule(path)
    state = {
        f"{key}.{name}": value
        for key, part in parts.items()
        for name, value in part.state_dict().items()
    }
    for name, path in encoder.trained_weights.items():
        state[f"backbone.{name}"] = encoder.get_parameter(path).detach()
    if encoder.hidden_states == "weighted":
        state["layer_weights"] = encoder.layer_weights.detach()
    return state


def save_trained(model, path):
    """Write what is trained, atomically.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    path : str or pathlib.Path
        The file, in safetensors format.
    """
    state = {k: v.cpu().contiguous() for k, v in trained_state(model).items()}
    about = {
        "format": FORMAT,
        "settings": model.settings(),
        "versions": versions(),
    }
    write_bytes(path, save(state, {"petl": json.dumps(about)}))


def read_trained(path):
    """Read a checkpoint without a model.

    One of an earlier format is returned as one of today's.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    tuple of dict
        The tensors by name, and the metadata.

    Raises
    ------
    CheckpointError
        If the file is none of ours, or damaged.
    """
    try:
        with safe_open(str(path), "pt") as file:
            about = json.loads((file.metadata() or {}).get("petl", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {error}"
        ) from error
    if about.get("format") == 1:
        state, about = upgrade_checkpoint(state, about)
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no checkpoint of a tuned model, or of another format"
        )
    return state, about


def load_trained(model, path):
    """Load what was trained, or nothing at all.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        A model of the same settings.
    path : str or pathlib.Path
        A file that ``save_trained`` wrote.

    Raises
    ------
    CheckpointError
        If the file cannot be read or does not fit; lists every difference.
    """
    state, about = read_trained(path)
    own = trained_state(model)
    settings = json.loads(json.dumps(model.settings()))
    problems = differences(about["settings"], settings)
    same_settings = not problems
    for name in sorted(state.keys() | own.keys()):
        shapes = [
            tuple(s[name].shape) if name in s else None for s in (state, own)
        ]
        if shapes[0] != shapes[1]:
            problems.append(
                f"{name}: {shapes[0] or 'absent'} in the file, "
                f"{shapes[1] or 'absent'} in the model"
            )
    if problems:
        shown = problems[:20]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more")
        if same_settings:
            shown.append(
                "The settings are the same: another version of this project "
                "wrote the file. Use that one, or train again."
            )
        raise CheckpointError(
            f"{path} does not fit this model:\n  " + "\n  ".join(shown)
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def weights_sha256(model):
    """Return the SHA-256 of the names and bytes of what is trained.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for name, value in sorted(trained_state(model).items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy())
    return digest.hexdigest()
