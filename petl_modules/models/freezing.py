"""Which weights of a backbone are trained."""

import torch
from torch import nn

from petl_modules.models.quantization import NF4, quantize_linear
from petl_modules.utils import HparamsError

BACKBONE_DTYPES = ("float32", "bfloat16", NF4)

CHOICES = ("none", "biases", "all", "last_<n>")


def freeze(backbone, train_backbone):
    """Freeze a backbone except for what is chosen.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``.
    train_backbone : str
        ``none``, ``biases``, ``all`` or ``last_<n>``, see ``TunedEncoder``.

    Returns
    -------
    list of str
        Names of the layers that are trained whole, for ``last_<n>``.

    Raises
    ------
    HparamsError
        If there is no such choice, or not so many layers.
    """
    sites = backbone.sites
    last = _last_layers(sites.layers, train_backbone)
    backbone.requires_grad_(train_backbone == "all")
    for layer in last:
        sites.module(layer).requires_grad_()
    if train_backbone == "biases":
        for name in [*sites.layers, "final_norm"]:
            for module in sites.module(name).modules():
                if isinstance(module, (nn.Linear, nn.LayerNorm)):
                    if module.bias is not None:
                        module.bias.requires_grad_()
    return last


def _last_layers(layers, train_backbone):
    """Return the layers that ``last_<n>`` names; none for other choices."""
    _, last, count = train_backbone.partition("last_")
    if not last and train_backbone in CHOICES:
        return []
    if not last:
        raise HparamsError(
            f"train_backbone '{train_backbone}' is none of: "
            f"{', '.join(CHOICES)}"
        )
    if not count.isdecimal() or not 1 <= int(count) <= len(layers):
        raise HparamsError(
            f"train_backbone '{train_backbone}': the backbone has "
            f"{len(layers)} layers, so n of last_<n> goes from 1 to "
            f"{len(layers)}"
        )
    return layers[-int(count) :]


def train_layer_norms(sites):
    """Train the norms of every layer.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        Those of a frozen encoder.
    """
    for layer in sites.layers:
        for norm in sites.layout.norms:
            sites.module(f"{layer}.{norm}").requires_grad_()


def store_frozen(backbone, dtype):
    """Store the frozen matrices of a backbone in a data type.

    Those of linear layers, and for bfloat16 of convolutions, which bf16
    autocast would round in every step. Norms, embeddings and biases, which are
    small, stay in float32.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``, with the methods' blocks in it.
    dtype : str
        ``float32``, ``bfloat16``, or ``nf4``: see ``quantize_linear``.

    Raises
    ------
    HparamsError
        If it is another data type, or see ``quantize_linear``.
    """
    if dtype not in BACKBONE_DTYPES:
        raise HparamsError(
            f"backbone_dtype '{dtype}' is none of: {', '.join(BACKBONE_DTYPES)}"
        )
    if dtype == "float32":
        return
    if dtype == NF4:
        quantize_linear(backbone)
    else:
        _round(backbone, getattr(torch, dtype))
    # Loaded weights are parts of one mapped file, which takes all of its
    # memory as long as one of them is there
    for parameter in backbone.parameters():
        parameter.data = parameter.data.clone()


def _round(backbone, dtype):
    """Round the frozen matrices of a backbone."""
    for module in backbone.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            if not module.weight.requires_grad:
                module.weight.data = module.weight.data.to(dtype)
