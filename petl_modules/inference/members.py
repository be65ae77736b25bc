"""Several trained states of one model: their mean, or the mean of outputs."""

import hashlib

import torch
from torch import nn

from petl_modules.methods import Adapted
from petl_modules.models import combine, load_trained, trained_state
from petl_modules.models.weights_file import digest
from petl_modules.utils import HparamsError


def load_states(model, weights, remedy):
    """Load trained weights one after the other.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model; it has the last ones in the end.
    weights : dict
        See ``petl_modules.inference.opened.Opened``.
    remedy : str
        What to do if a file is damaged.

    Returns
    -------
    list of dict
        Copies of the tensors by name.

    Raises
    ------
    CheckpointError
        See ``petl_modules.models.load_trained``.
    """
    states = []
    for path, recorded in weights.items():
        load_trained(model, path, recorded, remedy)
        state = trained_state(model)
        states.append({name: value.clone() for name, value in state.items()})
    return states


def set_state(model, state):
    """Give a model the trained tensors of a state, in place."""
    with torch.no_grad():
        for name, value in trained_state(model).items():
            value.copy_(state[name])


def average_states(model, states):
    """Return the mean of the trained states of one model.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    states : list of dict
        Tensors by name; see ``petl_modules.models.combine``.

    Returns
    -------
    dict

    Raises
    ------
    HparamsError
        If LoRA is among them.
    """
    if any(isinstance(m, Adapted) and m.mergeable for m in model.modules()):
        raise HparamsError(
            "the folds have LoRA, whose update of a weight is the product BA. "
            "The mean of the folds' A and the mean of their B, multiplied, "
            "are not the mean of their products, and no model that any fold "
            "has seen. --fold all averages the folds' outputs instead, and "
            "petl_modules.models.combine the products"
        )
    models = [(state, model.settings()) for state in states]
    return combine(models, [1 / len(states)] * len(states)).state


class Ensemble(nn.Module):
    """The mean of the logits of several trained states of one model.

    There is one encoder in memory: each state is put into it in turn.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    states : list of dict
        Trained tensors by name.
    """

    def __init__(self, model, states):
        super().__init__()
        self.model = model
        self.states = states

    @property
    def sha256(self):
        """Digest of all states."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    @property
    def digests(self):
        """Digest of each state."""
        return [digest(state) for state in self.states]

    @property
    def encoder(self):
        """The encoder, with the blocks of one of the states."""
        return self.model.encoder

    def forward(self, inputs, lengths=None):
        """Return logits ``[batch, outputs]``; see ``TunedModel``."""
        total = 0.0
        for state in self.states:
            set_state(self.model, state)
            total = total + self.model(inputs, lengths)
        return total / len(self.states)

    def embed(self, inputs, lengths=None):
        """Refuse to embed.

        Raises
        ------
        HparamsError
            Always.
        """
        raise HparamsError(
            f"{len(self.states)} folds average their logits here, and each "
            "embeds in a space of its own: open one fold to embed with"
        )

    def count_parameters(self):
        """Count the parameters; see ``TunedModel``."""
        counts = self.model.count_parameters()
        others = len(self.states) - 1
        trained = counts["trainable_parameters"]
        return {
            "total_parameters": counts["total_parameters"] + others * trained,
            "trainable_parameters": trained * len(self.states),
            "petl_parameters": counts["petl_parameters"] * len(self.states),
        }

    def settings(self):
        """Return what a checkpoint of a state has to fit."""
        return self.model.settings()
