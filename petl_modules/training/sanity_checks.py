"""Checks of a training run: trained parameters have gradients, others stay."""

import hashlib

import torch

from petl_modules.models import TunedEncoder, trained_state


def require_gradients(module, optimizer):
    """Check before the first update that all trained parameters have gradients.

    Arguments
    ---------
    module : torch.nn.Module
        The model.
    optimizer : torch.optim.Optimizer
        The optimiser. Its first step raises a ``RuntimeError`` that names the
        trained parameters without a gradient, and of blocks the method, the
        site and the kind of encoder.
    """
    checked = False

    def check(*_):
        nonlocal checked
        if checked:
            return
        trained = {
            n: p for n, p in module.named_parameters() if p.requires_grad
        }
        dead = [name for name, p in trained.items() if p.grad is None]
        if len(dead) == len(trained):  # check_gradients removed all
            return
        if dead:
            places = _places(module)
            names = [name + places.get(id(trained[name]), "") for name in dead]
            raise RuntimeError(f"no gradient reaches {', '.join(names)}")
        checked = True

    optimizer.register_step_pre_hook(check)


def _places(module):
    """Return which block a parameter belongs to, by its ``id``."""
    places = {}
    encoders = (m for m in module.modules() if isinstance(m, TunedEncoder))
    for encoder in encoders:
        for name, path in encoder.inserted.items():
            index, _, site = name.partition(".")
            method = type(encoder.methods[int(index)]).__name__
            place = f" ({method} at {site} of a {encoder.backbone.sites.kind})"
            for parameter in encoder.get_submodule(path).parameters():
                places.setdefault(id(parameter), place)
    return places


def frozen_digests(model):
    """Return digests of all frozen tensors, by name.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.

    Returns
    -------
    dict
        SHA-256 digests of the frozen parameters and of the buffers of frozen
        parts, by name.
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
    """Check that nothing frozen has changed.

    Arguments
    ---------
    digests : dict
        The result of ``frozen_digests`` before training.
    model : petl_modules.models.TunedModel
        The model.

    Raises
    ------
    RuntimeError
        Names the tensors that have changed.
    """
    now = frozen_digests(model)
    changed = [name for name in digests if now.get(name) != digests[name]]
    if changed:
        raise RuntimeError(f"frozen, and yet changed: {', '.join(changed)}")
