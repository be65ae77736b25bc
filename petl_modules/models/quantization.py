"""Quantization: frozen linear layers in 4 bits, by bitsandbytes."""

from logging import ERROR, getLogger

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.methods import AdaptedLayer
from petl_modules.utils import HparamsError, require_extra

NF4 = "nf4"
BLOCK = 64  # weights with a scale in common


class NF4Linear(nn.Module):
    """A frozen linear layer whose weight is stored in NF4.

    That is QLoRA's type (https://arxiv.org/abs/2305.14314, section 3): half a
    byte a weight, and a float32 scale for each 64. The products are those of
    the rounded weight, in training and evaluation, in float32 or what autocast
    takes; for the backward pass the stored weight is kept, and no other copy.

    bitsandbytes' own layers are not used: in evaluation they compute in
    bfloat16 on some CPUs, and those of 8 bits keep their inputs for the
    backward pass, which takes more memory than they save for long clips.

    Arguments
    ---------
    layer : torch.nn.Linear
        The layer. Its bias is taken as it is.

    Raises
    ------
    UserError
        If bitsandbytes is not installed.
    """

    def __init__(self, layer):
        super().__init__()
        self.in_features, self.out_features = (
            layer.in_features,
            layer.out_features,
        )
        packed, state = _functional().quantize_4bit(
            layer.weight.detach(), blocksize=BLOCK, quant_type=NF4
        )
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.register_buffer("scales", state.absmax, persistent=False)
        self.bias = layer.bias

    def __setstate__(self, state):
        """Set the state, also in a process that has made no such layer."""
        super().__setstate__(state)
        _functional()  # torch knows the operators from then on

    def forward(self, x):
        """Return ``[..., d_out]`` for ``[..., d_in]``."""
        shape = self.out_features, self.in_features
        return _Product.apply(x, self.weight, self.scales, shape, self.bias)


class _Product(torch.autograd.Function):
    """``F.linear`` with a packed weight, which the backward pass unpacks."""

    @staticmethod
    def forward(ctx, x, packed, scales, shape, bias):
        ctx.save_for_backward(packed, scales)
        ctx.shape, ctx.dtype = shape, x.dtype
        return F.linear(x, _unpacked(packed, scales, shape), bias)

    @staticmethod
    def backward(ctx, grad):
        found = bias = None
        if ctx.needs_input_grad[0]:
            weight = _unpacked(*ctx.saved_tensors, ctx.shape)
            found = (grad @ weight.to(grad.dtype)).to(ctx.dtype)
        if ctx.needs_input_grad[4]:
            bias = grad.flatten(0, -2).sum(0, dtype=torch.float32)
        return found, None, None, None, bias


def quantize_linear(backbone):
    """Replace the frozen linear layers of a backbone by ``NF4Linear``.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``, with the methods' blocks in it.

    Raises
    ------
    HparamsError
        If a method reads a weight, or no linear layer is frozen.
    UserError
        If bitsandbytes is not installed.
    """
    for path, module in backbone.named_modules():
        if isinstance(module, AdaptedLayer) and _frozen(module.base):
            raise HparamsError(
                "backbone_dtype nf4: DoRA, HiRA and the scalers compute with "
                f"the weight of a linear layer, here of {path}, which would "
                "have no float values any more. Take another method, such as "
                "LoRA's own form, or backbone_dtype bfloat16"
            )
    found = [(p, m) for p, m in backbone.named_modules() if _frozen(m)]
    if not found:
        raise HparamsError(
            "backbone_dtype nf4: all linear layers are trained, and none is "
            "frozen. Take float32, or a train_backbone that freezes some"
        )
    for path, layer in found:
        backbone.set_submodule(path, NF4Linear(layer))


def count_weights(model):
    """Count a model's weights, also where two of them are packed in a byte.

    Arguments
    ---------
    model : torch.nn.Module
        Quantized or not.

    Returns
    -------
    int
    """
    packed = [m for m in model.modules() if isinstance(m, NF4Linear)]
    stored = sum(p.numel() for p in model.parameters())
    stored -= sum(layer.weight.numel() for layer in packed)
    return stored + sum(m.in_features * m.out_features for m in packed)


def _frozen(module):
    """Return whether a module is a linear layer with a frozen weight."""
    return type(module) is nn.Linear and not module.weight.requires_grad


def _unpacked(packed, scales, shape):
    """Return a weight in float32.

    By the operator itself, which ``torch.compile`` does not look into.
    """
    return torch.ops.bitsandbytes.dequantize_4bit(
        packed, scales, BLOCK, NF4, shape, torch.float32
    )


def _functional():
    """Import bitsandbytes, which else asks for kernels that are not used."""
    getLogger("bitsandbytes").setLevel(ERROR)
    return require_extra("bitsandbytes", "quantization").functional
