"""The part of a tuned model that is trained, on hidden states kept before."""

import torch
from torch import nn


class UpperLayers(nn.Module):
    """What a tuned model trains, on the hidden states that enter it.

    Below its lowest trained layer a clip's hidden states are the same in every
    epoch, fold and run: they can be computed once.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model. This module has the model's own parameters.

    Raises
    ------
    ValueError
        If what is in front of the layers is trained.

    Example
    -------
    >>> import tempfile
    >>> from functools import partial
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> from petl_modules.methods import LoRA
    >>> from petl_modules.models import MeanPooling, TunedEncoder, TunedModel
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> lora = LoRA(at=["query"], rank=2, alpha=2, layers="last_1")
    >>> encoder = TunedEncoder(AST(folder, frames=100), [lora])
    >>> head = partial(nn.Linear, out_features=2)
    >>> model = TunedModel(encoder, head, MeanPooling())
    >>> upper, clips = UpperLayers(model), torch.rand(3, 100, 128)
    >>> upper.start, upper.enter(clips).shape
    (1, torch.Size([3, 50, 128]))
    >>> torch.equal(upper(upper.enter(clips)), model(clips))
    True
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.start = model.encoder.lowest_read()  # a layer's number, from 0
        if self.start is None:
            raise ValueError("what is in front of the layers is trained")

    def enter(self, inputs, lengths=None):
        """Return what ``forward`` takes.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``TunedModel.forward``.

        Returns
        -------
        torch.Tensor
            Hidden states ``[batch, time, d_model]``. Of encoders with a mask
            there is one value more for each frame, 1 if it is the clip's own:
            padding with zeros keeps it right.
        """
        encoder = self.model.encoder
        states, mask = encoder.states_entering(self.start, inputs, lengths)
        if mask is None:
            return states
        return torch.cat([states, mask.unsqueeze(2).to(states.dtype)], 2)

    def forward(self, states, lengths=None):
        """Return the head's outputs; see ``TunedModel.forward``.

        Arguments
        ---------
        states : torch.Tensor
            Those of ``enter``, padded with zeros.
        lengths : torch.Tensor or None
            Not used: the states have the mask.

        Returns
        -------
        torch.Tensor or tuple
        """
        encoder, mask = self.model.encoder, None
        if states.shape[2] > encoder.d_model:
            states, mask = states[..., :-1].contiguous(), states[..., -1] > 0
        return self.model.read(*encoder.run_layers(self.start, states, mask))
