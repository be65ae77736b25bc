"""The part of a linear probe that is trained, on features pooled before."""

import contextlib

import torch
from torch import nn


class Probe(nn.Module):
    """What a linear probe trains, on pooled features.

    The mean over tokens commutes with a sum of layers, and with scale and
    shift of a norm at the end of the backbone: both are applied to means.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        With mean pooling, and without L-adapters. The probe has the model's
        own parameters.

    Example
    -------
    >>> import tempfile
    >>> from functools import partial
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> from petl_modules.models import MeanPooling, TunedEncoder, TunedModel
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> encoder = TunedEncoder(AST(folder, frames=100))
    >>> head = partial(nn.Linear, out_features=2)
    >>> probe = Probe(TunedModel(encoder, head, MeanPooling()))
    >>> probe(probe.pool(torch.rand(3, 100, 128))).shape
    torch.Size([3, 2])
    """

    def __init__(self, model):
        super().__init__()
        norm = model.encoder.backbone.sites.final_norm
        self.norm = norm if model.encoder.train_norms else None
        self.layer_sum = model.encoder.layer_sum
        self.head = model.head
        self._model = [model]  # frozen, and none of this module's parts

    def forward(self, pooled, lengths=None):
        """Return the head's outputs for what ``pool`` has returned."""
        if self.layer_sum is None:
            return self.head(self._scaled(pooled))
        *inner, last = pooled.unbind(1)
        return self.head(self.layer_sum([*inner, self._scaled(last)]))

    def _scaled(self, last):
        """Return the last layer's features behind the trained norm."""
        if self.norm is None:
            return last
        return last * self.norm.weight + self.norm.bias

    @torch.no_grad()
    def pool(self, inputs, lengths=None):
        """Return what ``forward`` takes, in float32.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``TunedModel.forward``.

        Returns
        -------
        torch.Tensor
            ``[batch, d_model]``; with a sum of layers ``[batch, layers + 1,
            d_model]``, the input of the first layer and all outputs.
        """
        (model,) = self._model
        with _without_affine(self.norm):
            if self.layer_sum is None:
                return model.embed(inputs, lengths).float()
            states, mask = model.encoder(inputs, lengths, all_layers=True)
            pooled = [model.pooling(state, mask) for state in states]
        return torch.stack(pooled, 1).float()


@contextlib.contextmanager
def _without_affine(norm):
    """Let a norm neither scale nor shift."""
    if norm is None:
        yield
        return
    weight, bias = norm.weight.data, norm.bias.data
    norm.weight.data = torch.ones_like(weight)
    norm.bias.data = torch.zeros_like(bias)
    try:
        yield
    finally:
        norm.weight.data, norm.bias.data = weight, bias
