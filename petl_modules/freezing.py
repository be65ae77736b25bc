"""Which weights of a backbone are trained.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib

import torch
from torch import nn

from petl_modules.checkpoint import trained_state

BACKBONE_DTYPES = ("float32", "bfloat16")
CHOICES = ("none", "biases", "all", "last_<n>")


def freeze(backbone, train_backbone):
    """Freezes a backbone but for what is chosen.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``.
    train_backbone : str
        ``none``, ``biases``, ``all`` or ``last_<n>``, see ``TunedModel``.

    Returns
    -------
    list of str
        The sites of the layers that are trained whole, for ``last_<n>``.

    Raises
    ------
    ValueError
        If there is no such choice, or not so many layers.
    """
    sites = backbone.sites
    layers = [f"layers.{i}" for i in range(sites.n_layers)]
    last = _last_layers(layers, train_backbone)
    backbone.requires_grad_(train_backbone == "all")
    for layer in last:
        sites.module(layer).requires_grad_()
    if train_backbone == "biases":
        for site in [*layers, "final_norm"]:
            for module in sites.module(site).modules():
                if isinstance(module, (nn.Linear, nn.LayerNorm)):
                    if module.bias is not None:
                        module.bias.requires_grad_()
    return last


def _last_layers(layers, train_backbone):
    """The layers that ``last_<n>`` names; none for other choices."""
    _, last, count = train_backbone.partition("last_")
    if not last and train_backbone in CHOICES:
        return []
    if not last:
        raise ValueError(
            f"train_backbone '{train_backbone}' is none of: "
            f"{', '.join(CHOICES)}"
        )
    if not count.isdecimal() or not 1 <= int(count) <= len(layers):
        raise ValueError(
            f"train_backbone '{train_backbone}': the backbone has "
            f"{len(layers)} layers, so n of last_<n> goes from 1 to "
            f"{len(layers)}"
        )
    return layers[-int(count) :]


def store_frozen(backbone, dtype):
    """Stores the frozen matrices of a backbone in a type.

    Those of linear layers and convolutions, where bf16 autocast would round
    them in every step. Norms, embeddings and biases, which are small, stay.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``; methods are inserted.
    dtype : str
        ``float32`` or ``bfloat16``.

    Raises
    ------
    ValueError
        If it is another type.
    """
    if dtype not in BACKBONE_DTYPES:
        raise ValueError(
            f"backbone_dtype '{dtype}' is none of: {', '.join(BACKBONE_DTYPES)}"
        )
    for module in backbone.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            if not module.weight.requires_grad:
                module.weight.data = module.weight.data.to(
                    getattr(torch, dtype)
                )


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
    model : petl_modules.tuned_model.TunedModel
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
    model : petl_modules.tuned_model.TunedModel
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
