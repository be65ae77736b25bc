"""Hidden states of all layers."""

import torch

from petl_modules.models.pooling import MeanPooling
from petl_modules.utils import HparamsError


class LayerStates:
    """Record the hidden states of every layer of an encoder.

    Forward hooks record them, so that blocks around a layer are included and
    prompts are part of each state. (The encoders' own ``output_hidden_states``
    is not used: for pre-norm encoders its last entry lies before the final
    norm.) Nothing is recorded in the second pass of activation checkpointing.

    Arguments
    ---------
    first : torch.nn.Module
        The first layer itself, inside everything that is wrapped around it:
        its input has the prompts.
    layers : list of torch.nn.Module
        The layers with all that is wrapped around them.
    """

    def __init__(self, first, layers):
        self.states, self.layers = None, len(layers)
        first.register_forward_pre_hook(self._enter, with_kwargs=True)
        for layer in layers:
            layer.register_forward_hook(self._leave)

    def _enter(self, layer, args, kwargs):
        if self.states is not None:
            self.states.append(args[0] if args else kwargs["hidden_states"])

    def _leave(self, layer, args, out):
        if self.states is not None:
            self.states.append(out[0] if isinstance(out, tuple) else out)

    def record(self, encode, entered=None):
        """Return the states of one forward pass.

        Arguments
        ---------
        encode : callable
            Runs the encoder and returns its output.
        entered : dict or None
            What enters layers that ``encode`` does not run, by number, as far
            as it is read; the last state stands for the others. None: all
            layers run.

        Returns
        -------
        list of torch.Tensor
            The input of the first layer, then the output of each layer; the
            last one is what the encoder returns, behind its final norm.
        """
        self.states = []
        try:
            last = encode()
            states = [*self.states[:-1], last]
        finally:
            self.states = None
        below = range(self.layers + 1 - len(states))
        return [(entered or {}).get(number, last) for number in below] + states


def require_common_states(methods, sites):
    """Refuse prompts that do not enter at the first layer.

    The states of the layers in front of them have fewer tokens.

    Arguments
    ---------
    methods : list
        See ``TunedEncoder``.
    sites : petl_modules.backbones.Sites
        The encoder's.

    Raises
    ------
    HparamsError
        If prompts enter at a later layer.
    """
    for method in methods:
        if not getattr(method, "added_tokens", 0):
            continue
        if sites.select_layers(method.layers)[0].name != sites.layers[0]:
            raise HparamsError(
                "hidden states of all layers need prompts in all of them: "
                f"give prompt tuning 'layers: all' (it is {method.layers!r}), "
                "or read the last layer"
            )


def layer_means(model, inputs, lengths=None):
    """Return the means over time of all layers' states.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    inputs, lengths
        See ``petl_modules.models.TunedModel``.

    Returns
    -------
    torch.Tensor
        ``[batch, (layers + 1) d_model]``.
    """
    states, mask = model.encoder(inputs, lengths, all_layers=True)
    pool = MeanPooling()
    return torch.cat([pool(state, mask) for state in states], -1)
