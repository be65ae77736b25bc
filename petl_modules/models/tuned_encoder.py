"""A frozen backbone with the methods' blocks in it."""

import contextlib
from functools import partial

import torch
from torch import nn

from petl_modules.backbones import (
    lowest_trained,
    run_layers,
    states_entering,
)
from petl_modules.models.assembly import insert_methods
from petl_modules.models.freezing import freeze, store_frozen, train_layer_norms
from petl_modules.models.layer_states import (
    LayerStates,
    require_common_states,
)
from petl_modules.models.layer_sum import make_layer_sum
from petl_modules.models.settings import describe
from petl_modules.models.tokens import (
    count_leading,
    count_prompts,
    require_frames,
    select_tokens,
)
from petl_modules.utils import HparamsError

NORMS = (True, False, "layers", "all")


class TunedEncoder(nn.Module):
    """A frozen encoder with trained parts inside: hidden states and mask.

    Freezes the backbone, inserts the methods' blocks, and keeps frozen parts
    in eval mode. In eval mode a clip's hidden states are those of the clip
    alone, whatever else is in its batch.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``. It is changed in place.
    methods : list
        ``Insert``, ``LoRA``, ``PromptTuning``, ``PrefixTuning``; they
        compose. An empty list inserts nothing (linear probe).
    tokens : str
        Which tokens leave the encoder: ``all``, ``cls``,
        ``cls+distillation``, ``prompts``, ``speech`` (all but CLS,
        distillation token and prompts) or ``prompts+speech``.
    hidden_states : str or callable
        ``last``: the output of the last layer. ``weighted``: a trained sum of
        the first layer's input and all layers' outputs, see ``LayerSum``. A
        ``!name:`` entry makes a sum of other layers or of L-adapters, or a
        ``Ladder``.
    train_backbone : str
        Which weights of the backbone are trained: ``none``, ``biases`` (of
        the linear layers and norms in the encoder layers, and of the final
        norm; BitFit, https://arxiv.org/abs/2106.10199), ``all``, or
        ``last_<n>``: those of the last n layers.
    train_norms : bool or str
        Whether to train the norms that feed inserted blocks, and the norm
        outside the layers. ``layers``: those of every layer, none outside.
        ``all``: those of every layer, and the one outside.
    recompute : str
        Activation checkpointing: ``none``, ``feed_forward`` or ``layer``, see
        ``petl_modules.models.activation_checkpointing``. The gradients are
        the same.
    backbone_dtype : str
        ``float32``, or ``bfloat16``: the matrices of the frozen layers are
        stored so, and the backbone computes as under bf16 autocast. ``nf4``:
        those of the linear layers, see ``quantize_linear``. What is trained,
        the norms and the output stay in float32.

    Attributes
    ----------
    d_model, d_out : int
        Width of the encoder's layers, and of what ``forward`` returns.

    Raises
    ------
    ValueError
        If an argument has none of these values, or if ``tokens`` takes tokens
        that are not there.
    """

    def __init__(
        self,
        backbone,
        methods=(),
        *,
        tokens="all",
        hidden_states="last",
        train_backbone="none",
        train_norms=True,
        recompute="none",
        backbone_dtype="float32",
    ):
        super().__init__()
        if train_norms not in NORMS:
            raise HparamsError(
                f"train_norms '{train_norms}' is none of: True, False, layers, "
                "all"
            )
        sites = backbone.sites
        self.layer_sum = make_layer_sum(hidden_states, sites)
        self.backbone = backbone
        self.methods = list(methods)
        self.tokens = tokens
        self.hidden_states = hidden_states
        self.train_backbone = train_backbone
        self.train_norms = train_norms
        self.backbone_dtype = backbone_dtype
        self.d_model = self.d_out = sites.d_model
        if self.layer_sum is not None:
            require_common_states(self.methods, sites)
            self.d_out = self.layer_sum.d_out
        self.prompts = count_prompts(self.methods)
        leading = count_leading(self.methods, sites.layout)
        replaced = sites.layout.num_prefix_tokens - leading
        self._added = self.prompts - replaced
        self._part = select_tokens(tokens, sites, self.prompts, leading)
        names = sites.parameter_names()
        names = {id(p): names[n] for n, p in backbone.model.named_parameters()}
        # Layers of the backbone that are trained whole
        self.trained_layers = freeze(backbone, train_backbone)
        if train_norms in ("layers", "all"):
            train_layer_norms(sites)
        if train_norms in (True, "all"):
            sites.module("final_norm").requires_grad_()
        first = sites.module(sites.layers[0])
        self._insert(recompute)
        layers = [sites.module(name) for name in sites.layers]
        self._layers = LayerStates(first, layers)
        store_frozen(backbone, backbone_dtype)
        # From a name that holds for every backbone to the path in this module
        self.trained_weights = {
            names[id(p)]: path
            for path, p in self.named_parameters()
            if p.requires_grad and id(p) in names
        }

    def _insert(self, recompute):
        """Insert the methods' blocks; see ``insert_methods``."""
        blocks = insert_methods(
            self.backbone,
            self.methods,
            train_norms=bool(self.train_norms),
            recompute=recompute,
        )
        paths = {id(module): path for path, module in self.named_modules()}
        # From method and site to the path of the inserted block
        self.inserted = {name: paths[id(block)] for name, block in blocks}

    def train(self, mode=True):
        """Set the mode; frozen parts stay in eval mode."""
        super().train(mode)
        if mode and self.train_backbone != "all":
            self.backbone.eval()
            for path in self.inserted.values():
                self.get_submodule(path).train()
            for layer in self.trained_layers:
                self.backbone.sites.module(layer).train()
        return self

    def forward(self, inputs, lengths=None, all_layers=False):
        """Return hidden states and their mask.

        Arguments
        ---------
        inputs : torch.Tensor
            What the backbone takes, ``[batch, ...]``.
        lengths : torch.Tensor or None
            Relative lengths of padded inputs, ``[batch]``.
        all_layers : bool
            Whether to return the states of all layers.

        Returns
        -------
        hidden : torch.Tensor or list of torch.Tensor
            ``[batch, time, d_out]`` in float32. With ``all_layers`` a list:
            the input of the first layer, then each layer's output, each
            ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            True for real tokens, ``[batch, time]``. None: all are real.
        """
        if all_layers:
            require_common_states(self.methods, self.backbone.sites)
        mask = self.backbone.mask(inputs, lengths)
        encode = partial(self.backbone, inputs, lengths)
        return self._encode(encode, mask, inputs.device.type, all_layers)

    def layers_read(self):
        """Return the layers whose input training needs, by number.

        Returns
        -------
        list of int or None
            Ascending, from 0. The last is the lowest layer in which anything
            is trained, or the number of layers; the input of the others is
            read by the sum of layers, or ladder. None: what is in front of the
            layers is trained.
        """
        lowest = lowest_trained(self.backbone.sites)
        if lowest is None or self.layer_sum is None:
            return None if lowest is None else [lowest]
        # A module of another class may read any of them
        places = getattr(self.layer_sum, "places", range(lowest))
        return [*sorted(place for place in places if place < lowest), lowest]

    @torch.no_grad()
    def states_entering(self, numbers, inputs, lengths=None):
        """Return the hidden states that enter layers, and their mask.

        Arguments
        ---------
        numbers : list of int
            The layers' numbers, see ``layers_read``.
        inputs, lengths : torch.Tensor
            See ``forward``.

        Returns
        -------
        states : dict
            From number to ``[batch, time, d_model]``, without prompts.
        mask : torch.Tensor or None
            True for a clip's own frames, ``[batch, time]``.
        """
        backbone = self.backbone
        encode = partial(backbone, inputs, lengths)
        with self._precision(inputs.device.type):
            states = states_entering(backbone.sites, numbers, encode)
        return states, backbone.mask(inputs, lengths)

    def run_layers(self, states, mask=None):
        """Return what ``forward`` does, from ``states_entering``.

        Arguments
        ---------
        states, mask
            See ``states_entering``. Layers from the last number on run.

        Returns
        -------
        hidden, mask : torch.Tensor
            See ``forward``.
        """
        sites, number = self.backbone.sites, max(states)
        entered = states[number]
        encode = partial(run_layers, sites, number, entered, mask)
        return self._encode(encode, mask, entered.device.type, entered=states)

    def _encode(self, encode, mask, device, all_layers=False, entered=None):
        """Return hidden states and mask; see ``forward``.

        ``entered`` is what enters layers that ``encode`` does not run.
        """
        if mask is not None:
            mask = nn.functional.pad(mask, (self._added, 0), value=True)
        context = self.backbone.context
        context.mask, context.carried = mask, []
        record = all_layers or self.layer_sum is not None
        with self._precision(device):
            if record:
                states = self._layers.record(encode, entered)
            else:
                states = [encode()]
        states = [state.float() for state in states]
        if record and not all_layers:
            states = [self.layer_sum(states, mask)]
        states = [state[:, self._part] for state in states]
        mask = None if mask is None else mask[:, self._part]
        return states if all_layers else states[0], mask

    def _precision(self, device):
        """Return the context in which the backbone computes."""
        if self.backbone_dtype != "bfloat16":  # autocast, if on, stays on
            return contextlib.nullcontext()
        return torch.autocast(device, dtype=torch.bfloat16)

    def require_frames(self):
        """Refuse tokens that are no frames; see ``tokens.require_frames``."""
        require_frames(self.tokens, self.backbone.sites, self.prompts)

    def settings(self):
        """Return what a checkpoint has to fit, as plain data."""
        return {
            "backbone": self.backbone.settings,
            "methods": describe(self.methods),
            "tokens": self.tokens,
            "hidden_states": describe(self.hidden_states),
            "train_backbone": self.train_backbone,
            "train_norms": self.train_norms,
        }
