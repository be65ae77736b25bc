"""A trained weighted sum of the hidden states of several layers."""

import torch
from torch import nn

from petl_modules.utils import HparamsError

HIDDEN_STATES = ("last", "weighted")


class LayerSum(nn.Module):
    """Sum the states of layers, weighted by the softmax of trained weights.

    All weights start at 0: the sum starts as the mean
    (https://arxiv.org/abs/2105.01051). With a block for each state, the
    outputs of the blocks are summed: L-adapters,
    https://arxiv.org/abs/2212.02780.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    layers : str or list of int
        Whose outputs are summed: ``all``, ``last_<n>``, ``all_but_last``, or
        numbers such as ``[0, 5]``.
    first_input : bool
        Whether the input of the first layer is summed as well.
    block : callable or None
        Makes, from the width of the encoder, a module with ``out_features``
        for each state, such as ``!name:petl_modules.blocks.LayerAdapter``.
        None: the states themselves are summed.

    Attributes
    ----------
    d_out : int
        Width of the sum.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import Wav2Vec2, write_tiny_wav2vec2
    >>> folder = tempfile.mkdtemp() + "/tiny-wav2vec2"
    >>> write_tiny_wav2vec2(folder)
    >>> layer_sum = LayerSum(Wav2Vec2(folder).sites)
    >>> states = [torch.full([1, 1, 1], x) for x in (1.0, 2.0, 6.0)]
    >>> layer_sum(states)
    tensor([[[3.]]], grad_fn=<AddBackward0>)
    """

    def __init__(self, sites, *, layers="all", first_input=True, block=None):
        super().__init__()
        chosen = [site.name for site in sites.select_layers(layers)]
        # Places in the list of states, of which the first is the input
        self.places = [1 + sites.layers.index(name) for name in chosen]
        if first_input:
            self.places.insert(0, 0)
        self.weights = nn.Parameter(torch.zeros(len(self.places)))
        self.d_out = sites.d_model
        self.adapters = nn.ModuleList()
        if block is not None:
            self.adapters.extend(block(sites.d_model) for _ in self.places)
            self.d_out = self.adapters[0].out_features

    def forward(self, states, mask=None):
        """Return the sum.

        Arguments
        ---------
        states : list of torch.Tensor
            The input of the first layer, then the output of each layer, all
            ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            Not used.

        Returns
        -------
        torch.Tensor
            ``[batch, time, d_out]``.
        """
        states = [states[place] for place in self.places]
        if self.adapters:
            states = [
                adapter(state).float()
                for adapter, state in zip(self.adapters, states, strict=True)
            ]
        weights = self.weights.softmax(0)
        return sum(w * s for w, s in zip(weights, states, strict=True))


def make_layer_sum(hidden_states, sites):
    """Return what reads the layers for the head, or None.

    Arguments
    ---------
    hidden_states : str or callable
        ``last``, ``weighted``, or what makes a ``LayerSum`` or ``Ladder`` from
        the sites.
    sites : petl_modules.backbones.Sites
        The encoder's.

    Returns
    -------
    torch.nn.Module or None
        None: the head reads the last layer.

    Raises
    ------
    HparamsError
        If it is none of these.
    """
    if callable(hidden_states):
        return hidden_states(sites)
    if hidden_states not in HIDDEN_STATES:
        raise HparamsError(
            f"hidden_states '{hidden_states}' is none of: "
            f"{', '.join(HIDDEN_STATES)}; or a module, such as "
            "!name:petl_modules.models.LayerSum"
        )
    return LayerSum(sites) if hidden_states == "weighted" else None
