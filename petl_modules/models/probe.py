"""The part of a linear probe that is trained, on features pooled before."""

import contextlib

import torch
from torch import nn


class Probe(nn.Module):
    """What a linear probe trains, on pooled features.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        With mean pooling. The probe has the model's own parameters. A trained
        norm at the end of the backbone keeps its scale and shift here: the
        mean over tokens commutes with them.

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
        self.head = model.head
        self._model = [model]  # frozen, and none of this module's parts

    def forward(self, pooled, lengths=None):
        """Return the head's outputs for pooled features ``[batch, d_model]``."""
        if self.norm is not None:
            pooled = pooled * self.norm.weight + self.norm.bias
        return self.head(pooled)

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
            ``[batch, d_model]``.
        """
        with _without_affine(self.norm):
            return self._model[0].embed(inputs, lengths).float()


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
