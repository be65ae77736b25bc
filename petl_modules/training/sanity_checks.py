"""Checks of a training: gradients where they belong, and nowhere else.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib

import torch
from torch import nn

from petl_modules.models import trained_state


def require_gradients(module):
    """Stops where what should train gets no gradient.

    Arguments
    ---------
    module : torch.nn.Module
        After its first backward pass.

    Raises
    ------
    RuntimeError
        Names the trained parameters without a gradient.
    """
    dead = [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    if dead:
        raise RuntimeError(f"no gradient reaches {', '.join(dead)}")


def gradients_are_finite(module):
    """Whether all gradients are numbers, none infinite and none NaN."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return bool(torch.isfinite(nn.utils.get_total_norm(gradients)))


def frozen_digests(model):
    """Digests of what must not change in training, by name.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.

    Returns
    -------
    dict
        From the names of frozen parameters, and of the buffers of frozen
        parts, to SHA-256 digests.
    """
    trained = trained_state(model)
    trained = {value.data_ptr() for value in trained.values()}
    return {
        name: hashlib.sha256(
            value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        ).hexdigest()
        for name, value in model.state_dict().items()
        if value.data_ptr() not in trained
    }


def require_unchanged(digests, model):
    """Stops if something frozen has changed.

    Arguments
    ---------
    digests : dict
        As ``frozen_digests`` gave it before the training.
    model : petl_modules.models.TunedModel
        The model.

    Raises
    ------
    RuntimeError
        Names what has changed.
    """
    now = frozen_digests(model)
    changed = [name for name in digests if now.get(name) != digests[name]]
    if changed:
        raise RuntimeError(f"frozen, and yet changed: {', '.join(changed)}")
