"""The part of a tuned model that is trained, on hidden states kept before."""

import torch
from torch import nn


class UpperLayers(nn.Module):
    """What a tuned model trains, on the hidden states that enter it.

    Below its lowest trained layer a clip's hidden states are the same in every
    epoch, fold and run: they can be computed once. So can those of the layers
    below that a sum of layers or a ladder reads.

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
        # Numbers of layers, from 0; from the last on, they run
        self.layers = model.encoder.layers_read()
        if self.layers is None:
            raise ValueError("what is in front of the layers is trained")
        self.start = self.layers[-1]

    def enter(self, inputs, lengths=None):
        """Return what ``forward`` takes.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``TunedModel.forward``.

        Returns
        -------
        torch.Tensor
            Hidden states ``[batch, time, d_model]``; of several layers side by
            side. Of encoders with a mask there is one value more for each
            frame, 1 if it is the clip's own: padding with zeros keeps it right.
        """
        encoder = self.model.encoder
        found, mask = encoder.states_entering(self.layers, inputs, lengths)
        states = [*found.values()]
        if mask is not None:
            states.append(mask.unsqueeze(2).to(states[-1].dtype))
        return torch.cat(states, 2)

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
        if states.shape[2] % encoder.d_model:
            states, mask = states[..., :-1], states[..., -1] > 0
        states = (x.contiguous() for x in states.split(encoder.d_model, 2))
        found = dict(zip(self.layers, states, strict=True))
        return self.model.read(*encoder.run_layers(found, mask))
