"""Checks of a training run: gradients reach what is trained, and only that."""

import hashlib

import torch

from petl_modules.models import trained_state


def require_gradients(module, optimizer):
    """Check before the first update that all trained parameters have gradients.

    Arguments
    ---------
    module : torch.nn.Module
        What is trained.
    optimizer : torch.optim.Optimizer
        Its first step raises a ``RuntimeError`` that names the trained
        parameters without a gradient.
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
        if len(dead) == len(trained):  # the step is skipped
            return
        if dead:
            raise RuntimeError(f"no gradient reaches {', '.join(dead)}")
        checked = True

    optimizer.register_step_pre_hook(check)


def frozen_digests(model):
    """Return digests of what must not change in training, by name.

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
    """Check that nothing frozen has changed.

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
