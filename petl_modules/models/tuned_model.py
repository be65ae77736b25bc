"""A frozen backbone, what is inserted into it, and a head.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
from functools import partial

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from torch import nn

from petl_modules.models.assembly import insert_methods
from petl_modules.models.freezing import freeze, store_frozen
from petl_modules.models.trained_weights import load_trained, save_trained

POOLINGS = ("all", "cls", "prompts", "speech", "prompts+speech")


@register_checkpoint_hooks
class TunedModel(nn.Module):
    """A classifier on a frozen backbone with trained parts inside.

    Freezes the backbone, inserts the methods' blocks, keeps frozen parts in
    eval mode, and saves and loads only what is trained. In eval mode a clip's
    logits are those of the clip alone, whatever stands in its batch.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``. It is changed in place.
    labels : list of str
        Class names, in the order of the logits.
    methods : list
        ``Insert``, ``LoRA``, ``PromptTuning``, ``PrefixTuning``; they
        compose. An empty list leaves the head (linear probe).
    pooling : str
        What is averaged for the head: ``all`` tokens, ``cls``, ``prompts``,
        ``speech`` (all but CLS and prompts) or ``prompts+speech``.
    train_backbone : str
        Which weights of the backbone train along: ``none``, ``biases`` (of
        the linear layers and norms in the encoder layers, and of the final
        norm; BitFit, https://arxiv.org/abs/2106.10199), ``all``, or
        ``last_<n>``: those of the last n layers.
    train_norms : bool
        Whether the norms that feed inserted blocks, and the norm outside
        the layers, train along.
    recompute : str
        What the backward pass computes again instead of keeping it:
        ``none``, ``feed_forward`` or ``layer``, see
        ``petl_modules.models.activation_checkpointing``. The gradients are the same.
    backbone_dtype : str
        ``float32``, or ``bfloat16``: the matrices of the frozen layers are
        stored so, and the backbone computes as under bf16 autocast. What is
        trained, the norms and the head stay in float32.

    Raises
    ------
    ValueError
        If an argument has none of these values, if there are no labels or
        one twice, or if the pooling takes tokens that are not there.
    """

    def __init__(
        self,
        backbone,
        labels,
        methods=(),
        *,
        pooling="all",
        train_backbone="none",
        train_norms=True,
        recompute="none",
        backbone_dtype="float32",
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(
                f"pooling '{pooling}' is none of: {', '.join(POOLINGS)}"
            )
        if not labels or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be there, each once: {labels}")
        self.backbone = backbone
        self.labels = list(labels)
        self.methods = list(methods)
        self.pooling = pooling
        self.train_backbone = train_backbone
        self.train_norms = train_norms
        self.prompts = _count_prompts(self.methods, pooling)
        if pooling == "cls" and not backbone.sites.layout.num_prefix_tokens:
            raise ValueError(
                f"pooling 'cls': a {backbone.sites.kind} has no CLS token; "
                "pool 'speech' or 'all'"
            )
        self.backbone_dtype = backbone_dtype
        names = backbone.sites.parameter_names()
        names = {id(p): names[n] for n, p in backbone.model.named_parameters()}
        # Layers of the backbone that are trained whole
        self.trained_layers = freeze(backbone, train_backbone)
        if train_norms:
            backbone.sites.module("final_norm").requires_grad_()
        self._insert(recompute)
        store_frozen(backbone, backbone_dtype)
        self.head = nn.Linear(
            backbone.model.config.hidden_size, len(self.labels)
        )
        # From a name that holds for every backbone to the path in this model
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
            train_norms=self.train_norms,
            recompute=recompute,
        )
        paths = {id(module): path for path, module in self.named_modules()}
        # From method and site to the path of the inserted block
        self.inserted = {name: paths[id(block)] for name, block in blocks}

    def train(self, mode=True):
        """Sets the mode; frozen parts stay in eval mode."""
        super().train(mode)
        if mode and self.train_backbone != "all":
            self.backbone.eval()
            for path in self.inserted.values():
                self.get_submodule(path).train()
            for layer in self.trained_layers:
                self.backbone.sites.module(layer).train()
        return self

    def forward(self, inputs, lengths=None):
        """Returns the logits.

        Arguments
        ---------
        inputs : torch.Tensor
            What the backbone takes, ``[batch, ...]``.
        lengths : torch.Tensor or None
            Relative lengths of padded inputs, ``[batch]``.

        Returns
        -------
        torch.Tensor
            ``[batch, classes]``.
        """
        return self.head(self.pooled(inputs, lengths))

    def pooled(self, inputs, lengths=None):
        """Returns what the head takes, ``[batch, d_model]``.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``forward``.

        Returns
        -------
        torch.Tensor
        """
        mask = self.backbone.mask(inputs, lengths)
        if mask is not None:
            mask = nn.functional.pad(mask, (self.prompts, 0), value=True)
        self.backbone.context.mask = mask
        with self._precision(inputs.device.type):
            hidden = self.backbone(inputs, lengths)
        return self._pool(hidden.float(), mask)

    def _precision(self, device):
        """Under which the backbone computes."""
        if self.backbone_dtype == "float32":  # autocast, if it is on, stays on
            return contextlib.nullcontext()
        return torch.autocast(device, dtype=torch.bfloat16)

    def _pool(self, hidden, mask):
        layout = self.backbone.sites.layout
        leading = layout.num_prefix_tokens
        if self.prompts:
            leading = layout.tokens_before_prompts
        speech = leading + self.prompts
        part = {
            "all": slice(None),
            "cls": slice(0, 1),
            "prompts": slice(leading, speech),
            "speech": slice(speech, None),
            "prompts+speech": slice(leading, None),
        }[self.pooling]
        hidden = hidden[:, part]
        if mask is None:
            return hidden.mean(1)
        weight = mask[:, part].unsqueeze(-1)
        return (hidden * weight).sum(1) / weight.sum(1)

    def count_parameters(self):
        """How many numbers there are, by the names of ``summary.json``.

        Returns
        -------
        dict
            ``total_parameters``, ``trainable_parameters`` and
            ``petl_parameters`` (what is trained but for the head).
        """
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        head = sum(p.numel() for p in self.head.parameters())
        return {
            "total_parameters": sum(p.numel() for p in self.parameters()),
            "trainable_parameters": trained,
            "petl_parameters": trained - head,
        }

    def settings(self):
        """What a checkpoint has to fit, as plain data.

        Returns
        -------
        dict
        """
        return {
            "backbone": self.backbone.settings,
            "methods": [_describe(method) for method in self.methods],
            "pooling": self.pooling,
            "train_backbone": self.train_backbone,
            "train_norms": self.train_norms,
            "labels": self.labels,
        }

    @mark_as_saver
    def _save(self, path):
        save_trained(self, path)

    @mark_as_loader
    def _load(self, path, end_of_epoch=True):
        load_trained(self, path)


def _count_prompts(methods, pooling):
    counts = [getattr(method, "added_tokens", 0) for method in methods]
    counts = [count for count in counts if count]
    if len(counts) > 1:
        raise ValueError("'methods' contains prompt tuning twice")
    if "prompts" in pooling and not counts:
        raise ValueError(
            f"pooling '{pooling}' takes prompts, and no method here has any: "
            "add prompt tuning, or pool 'all'"
        )
    return sum(counts)


def _describe(thing):
    """A method, a block factory or a value as plain data."""
    if thing is None or isinstance(thing, (str, int, float)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [_describe(value) for value in thing]
    if isinstance(thing, partial):
        values = {"class": thing.func.__name__, **thing.keywords}
    elif hasattr(thing, "__name__"):
        values = {"class": thing.__name__}
    else:
        values = {"class": type(thing).__name__, **vars(thing)}
    return {name: _describe(value) for name, value in values.items()}
