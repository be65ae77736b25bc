"""A classifier of transformers as parts of a model of ours."""

import torch
import transformers

from petl_modules.backbones.layouts import LAYOUTS, kind_of
from petl_modules.exports.library.fitting import AST, KINDS, SPEECH
from petl_modules.inference.plain import NAME, NEW
from petl_modules.utils import ExportError

HEADS = {
    AST: ("classifier.layernorm", "classifier.dense"),
    **dict.fromkeys(SPEECH, ("projector", "classifier")),
}
# Backbone and features
PARTS = {
    AST: ("AST", "FilterBank"),
    **dict.fromkeys(SPEECH, ("Wav2Vec2", "Waveform")),
    "wav2vec2-bert": ("W2vBert", "StackedFilterBank"),
}


def parts_of_library(config, methods, norms, labels, values):
    """Return the parts of the model that a class of transformers computes.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The base's.
    methods : list of dict
        Arguments of ``petl_modules.methods.LoRA``.
    norms : bool or str
        ``train_norms``.
    labels : list of str
        Names of the classes.
    values : dict
        See ``petl_modules.backbones.InputFacts``.

    Returns
    -------
    dict
        ``features``, ``encoder`` and ``model``, which lacks the encoder; see
        ``petl_modules.inference.plain``.
    """
    values = dict(values)
    values["normalize"] = values.pop("do_normalize")
    backbone, features = PARTS[config.model_type]
    size, cut = {}, {"seconds": None}  # each clip is read whole
    tokens, head = "speech", {NAME: "torch.nn.Linear"}
    if config.model_type == AST:
        size = cut = {"frames": config.max_length}
        tokens, norm = "cls+distillation", {"eps": config.layer_norm_eps}
        head = {NAME: "petl_modules.models.LinearHead", "norm": True, **norm}
    return {
        "features": {NEW: f"petl_modules.data.{features}", **cut, **values},
        "encoder": {
            NEW: "petl_modules.models.TunedEncoder",
            "backbone": {NEW: f"petl_modules.backbones.{backbone}", **size},
            "methods": [
                {NEW: "petl_modules.methods.LoRA", **one} for one in methods
            ],
            "tokens": tokens,
            "train_norms": norms,
        },
        "model": {
            NEW: "petl_modules.models.TunedModel",
            "pooling": {NEW: "petl_modules.models.MeanPooling"},
            "head": {**head, "out_features": len(labels)},
            "must_match": {"labels": labels},
        },
    }


class Names:
    """The names of an encoder's modules in a class of transformers.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The base's.

    Attributes
    ----------
    linear : dict
        From the path of a module to the number of its layer, and its site.
    norms : dict
        From the path of a norm to its name in a checkpoint of ours.
    """

    def __init__(self, config):
        layout = LAYOUTS[kind_of(config)]
        root = getattr(transformers, KINDS[config.model_type]).base_model_prefix
        layers = [
            (n, f"{root}.{layout.layers}.{n}")
            for n in range(config.num_hidden_layers)
        ]
        self.linear = {
            f"{path}.{site.entry}": (n, name)
            for n, path in layers
            for name, site in layout.sites.items()
        }
        self.norms = {
            f"{path}.{norm}": f"layers.{n}.{name}"
            for n, path in layers
            for name, norm in layout.norms.items()
        }
        final = layout.outside["final_norm"].format(last=len(layers) - 1)
        self.final_norm = f"{root}.{final}"

    def take_norms(self, saved):
        """Return which norms an adapter has, and their weights by our names.

        Arguments
        ---------
        saved : dict
            Tensors of an adapter; norms are taken out.

        Returns
        -------
        tuple
            ``train_norms`` of the encoder that has these, and the weights.
        """
        modules = {name.rpartition(".")[0] for name in saved}
        choices = {"layers": self.norms, True: {self.final_norm: "final_norm"}}
        for choice, names in choices.items():
            if modules and modules == {*names}:
                return choice, {
                    f"backbone.{names[module]}.{last}": saved.pop(key)
                    for key in [*saved]
                    for module, _, last in [key.rpartition(".")]
                }
        return False, {}


def head_state(config, saved, checkpoint):
    """Return the weights of a head, by the names of a checkpoint of ours.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The base's.
    saved : dict
        Tensors of an adapter; those of the head are taken out.
    checkpoint : petl_modules.backbones.Checkpoint
        The base, which has what the adapter has not.

    Returns
    -------
    dict
        Tensors by name. Two linear layers behind each other are one.

    Raises
    ------
    ExportError
        If the two together have no whole head.
    """
    first, second = HEADS[config.model_type]
    names = [f"{m}.{x}" for m in (first, second) for x in ("weight", "bias")]
    if any(name not in saved for name in names):
        saved.update({**_head_of(checkpoint, config, names, saved), **saved})
    scale, shift, weight, bias = (saved.pop(name) for name in names)
    if config.model_type == AST:
        return {
            "head.norm.weight": scale,
            "head.norm.bias": shift,
            "head.linear.weight": weight,
            "head.linear.bias": bias,
        }
    inner, weight = scale.double(), weight.double()
    if weight.shape[1] != len(inner):
        raise ExportError(
            f"the adapter's classifier reads {weight.shape[1]} values, and the "
            f"projector of {checkpoint.source} gives {len(inner)}. Train the "
            "adapter with both in modules_to_save"
        )
    return {
        "head.weight": (weight @ inner).float(),
        "head.bias": (weight @ shift.double() + bias).float(),
    }


def _head_of(checkpoint, config, names, saved):
    """Return what the base has of a head."""
    made = getattr(transformers, KINDS[config.model_type])
    model, report = made.from_pretrained(
        checkpoint.folder,
        dtype=torch.float32,
        output_loading_info=True,
        local_files_only=True,
    )
    missing = ({*names} - {*saved}) & {*report["missing_keys"]}
    if missing:
        raise ExportError(
            f"neither the adapter nor {checkpoint.source} has "
            f"{', '.join(sorted(missing))}: there is nothing to classify with. "
            "Train the adapter with the whole head in modules_to_save"
        )
    state = model.state_dict()
    return {name: state[name] for name in names}
