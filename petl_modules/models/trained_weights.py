"""Checkpoints of a tuned model: what was trained, and what it fits.

A file holds the trained parameters and the buffers of trained modules, under
names that do not depend on the wrappers (``head.weight``, ``layer_weights``,
``0.layers.3.attention.phi``, ``backbone.layers.3.ffn_norm.weight``), and in
its metadata everything that a model must share to load it. A tensor that blocks
have in common (``share`` of ``petl_modules.methods.Insert``) is stored once, by
the name of its first place.
"""

import json

import torch

from petl_modules.methods import Adapted
from petl_modules.models.settings import differences
from petl_modules.models.weights_file import (
    REMEDY,
    digest,
    read_trained,
    write_trained,
)
from petl_modules.utils import CheckpointError


def trained_tensors(model):
    """Return the trained parameters and buffers of a model themselves.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.

    Returns
    -------
    dict
        From name to parameter or buffer; each once.
    """
    encoder, parts = model.encoder, {"head": model.head}
    for key in ("pooling", "embedding"):
        if getattr(model, key) is not None:
            parts[key] = getattr(model, key)
    for key, path in encoder.inserted.items():
        parts[key] = encoder.get_submodule(path)
    first = {}  # from the id of a tensor to its name and itself
    for key, part in parts.items():
        for name, value in part.state_dict(keep_vars=True).items():
            first.setdefault(id(value), (f"{key}.{name}", value))
    found = dict(first.values())
    for name, path in encoder.trained_weights.items():
        found[f"backbone.{name}"] = encoder.get_parameter(path)
    if encoder.layer_sum is not None:
        for name, value in encoder.layer_sum.state_dict(keep_vars=True).items():
            found[f"layer_{name}"] = value
    return found


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
    return {k: v.detach() for k, v in trained_tensors(model).items()}


def save_trained(model, path):
    """Write what is trained, atomically.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    path : str or pathlib.Path
        The file, in safetensors format.

    Raises
    ------
    CheckpointError
        If LoRA weights are merged into the model.
    """
    _require_unmerged(model)
    write_trained(trained_state(model), model.settings(), path)


def load_trained(model, path, sha256=None, remedy=REMEDY):
    """Load what was trained, or nothing at all.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        A model of the same settings.
    path : str or pathlib.Path
        A file that ``save_trained`` wrote.
    sha256, remedy
        See ``read_trained``.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged or does not fit, with every
        difference; or if LoRA weights are merged into the model.
    """
    _require_unmerged(model)
    state, about = read_trained(path, sha256, remedy)
    own = trained_state(model)
    settings = json.loads(json.dumps(model.settings()))
    _leave_out_unrecorded(settings, about["settings"])
    problems = differences(about["settings"], settings)
    same_settings = not problems
    for name in sorted(state.keys() | own.keys()):
        there, wanted = (_form(s.get(name)) for s in (state, own))
        if there != wanted:
            problems.append(
                f"{name}: {there} in the file, {wanted} in the model"
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
    return digest(trained_state(model))


def _form(tensor):
    """Return a tensor's shape and dtype as a text."""
    if tensor is None:
        return "absent"
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _leave_out_unrecorded(own, saved):
    """Leave out what a file does not record of its backbone's configuration.

    Files of earlier formats have none of it, and other versions of
    transformers have other keys.
    """
    own, saved = (s["encoder"]["backbone"] for s in (own, saved))
    if "config" not in saved:
        own.pop("config", None)
    elif "config" in own:
        shared = own["config"].keys() & saved["config"].keys()
        for part in (own, saved):
            part["config"] = {key: part["config"][key] for key in shared}


def _require_unmerged(model):
    """Refuse a model whose base weights have LoRA's updates in them."""
    if any(isinstance(m, Adapted) and m.merged for m in model.modules()):
        raise CheckpointError(
            "Methods are merged into this model, so it can neither take "
            "others nor be saved. Call what merge_methods has returned, which "
            "takes them out, or build the model again"
        )
