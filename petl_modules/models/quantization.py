"""Quantization: frozen linear layers in 4 bits, by bitsandbytes."""

import logging
from importlib import import_module

from torch import nn

from petl_modules.methods import AdaptedLayer
from petl_modules.utils import HparamsError

NF4 = "nf4"


def quantize_linear(backbone):
    """Replace the frozen linear layers of a backbone by 4-bit ones.

    NF4 of QLoRA (https://arxiv.org/abs/2305.14314, section 3): half a byte a
    weight, with a float32 scale for each 64, not quantized in turn. Products
    are those of the rounded weight, in the precision of their input; the
    backward pass rounds nothing more and saves no copy of the weight. Biases,
    norms, embeddings and convolutions stay as they are.

    LLM.int8 (https://arxiv.org/abs/2208.07339) is not offered: bitsandbytes
    keeps the input of each such layer for the backward pass, more than eight
    bits save for clips of some seconds, and rounds the input as well.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``, with the methods' blocks in it.

    Raises
    ------
    HparamsError
        If bitsandbytes is not installed, or a method reads a weight.
    """
    modules = _bitsandbytes().nn
    for path, module in backbone.named_modules():
        if isinstance(module, AdaptedLayer) and _frozen(module.base):
            raise HparamsError(
                "backbone_dtype nf4: DoRA, HiRA and the scalers compute with "
                f"the weight of a linear layer, here of {path}, which would "
                "have no float values any more. Take another method, such as "
                "LoRA's own form, or backbone_dtype bfloat16"
            )
    layers = [
        (path, module)
        for path, module in backbone.named_modules()
        if _frozen(module)
    ]
    for path, layer in layers:
        backbone.set_submodule(path, _quantized(layer, modules))


def count_weights(parameter):
    """Return how many weights a parameter holds; 4 bits pack two in a byte.

    Arguments
    ---------
    parameter : torch.nn.Parameter
        Quantized or not.

    Returns
    -------
    int
    """
    packed = getattr(parameter, "quant_state", None)
    return parameter.numel() if packed is None else packed.shape.numel()


def _frozen(module):
    """Return whether a module is a linear layer with a frozen weight."""
    return type(module) is nn.Linear and not module.weight.requires_grad


def _quantized(layer, modules):
    """Return the quantized layer, with the bias of the given one."""
    weight = layer.weight.detach()
    new = modules.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=False,
        compute_dtype=weight.dtype,
    )
    new.weight = modules.Params4bit(
        weight,
        requires_grad=False,
        quant_type="nf4",
        compress_statistics=False,
        module=new,
    )
    new.to(weight.device)  # which quantizes
    new.bias = layer.bias
    return new.train(layer.training)


def _bitsandbytes():
    """Import bitsandbytes, which else asks for a faster kernel."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        return import_module("bitsandbytes")
    except ImportError as error:
        raise HparamsError(
            f"backbone_dtype nf4 needs the package bitsandbytes ({error}): pip "
            "install 'petl_modules[quantization]', in a checkout: python -m "
            "pip install -r requirements-quantization.txt"
        ) from error
