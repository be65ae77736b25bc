"""A trained model for transformers: what ``modeling_petl.py`` ends with.

``petl_modules.exports.one_file.single_file`` writes this module and all that
it uses into one file, with ``CLASSES`` filled in.
"""

from functools import partial

import torch
from torch import nn
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.utils import cached_file

from petl_modules.exports.one_file.modeling_petl_base import (
    REMEDY,
    Base,
    read_weights,
)
from petl_modules.models.trained_weights import trained_state
from petl_modules.models.weights_file import (
    WEIGHTS,
    digest,
)

# Options of the hub: those for the encoder, too, and all
HUB = ("cache_dir", "force_download", "local_files_only", "proxies", "token")
OWN_HUB = (*HUB, "revision", "subfolder")
# What callers of from_pretrained say, and has no effect here
SILENT = ("adapter_kwargs", "code_revision", "trust_remote_code")
BACKBONES = "petl_modules.backbones."
# What a model can be made of, by the names in config.json
CLASSES = {}

# Pipelines call what is not in this table unsupported
MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES.setdefault(
    "petl-audio", "PetlForAudioClassification"
)


class PetlConfig(PreTrainedConfig):
    """What a trained model is made of, its encoder, and its classes."""

    model_type = "petl-audio"


class PetlForAudioClassification(PreTrainedModel):
    """A frozen encoder with what was trained: a classifier of sounds.

    Arguments
    ---------
    config : PetlConfig
        The content of ``config.json``.
    base : Base
        The encoder. What is trained starts at random: ``from_pretrained``
        loads it.
    """

    config_class = PetlConfig

    def __init__(self, config, base):
        super().__init__(config)
        self.model = make(config.parts["model"], base)
        windows = str(config.parts["windows"].get("test", 1))
        self.windows = int(windows) if windows.isdecimal() else 1

    @classmethod
    def from_pretrained(
        cls, folder, config=None, dtype=None, device_map=None, **options
    ):
        """Load the encoder and what was trained; verify both.

        Arguments
        ---------
        folder : str
            A folder, or a name on the hub.
        config : PetlConfig or None
            What its ``config.json`` says, if that was read already.
        dtype : torch.dtype, str or None
            float32 alone.
        device_map : str, torch.device or None
            One device.
        **options
            ``base_model``, ``base_revision``: another place of the encoder.
            Others are for the hub.
        """
        hub = {key: options.pop(key) for key in OWN_HUB if key in options}
        if config is None:
            config, options = PetlConfig.from_pretrained(
                folder, return_unused_kwargs=True, **hub, **options
            )
        unknown = [k for k in options if k not in SILENT and k[0] != "_"]
        if unknown or dtype not in (None, "auto", "float32", torch.float32):
            raise ValueError(
                f"{folder} is loaded in float32, and without {unknown}; "
                "torch.autocast computes in other dtypes"
            )
        state, about = read_weights(cached_file(folder, WEIGHTS, **hub))
        base = Base(
            config.base_model,
            config.base_revision,
            config.base_weights,
            about["settings"]["encoder"]["backbone"].get("config", {}),
            {key: hub[key] for key in HUB if key in hub},
        )
        model = cls(config, base)
        model.load_trained(state, f"{folder}: {WEIGHTS}")
        return model.eval().to(device_map or "cpu")

    def load_trained(self, state, place):
        """Copy what was trained: every tensor, and no other.

        Arguments
        ---------
        state : dict
            Tensors by name.
        place : str
            Where they come from, for the error message.
        """
        own = trained_state(self.model)
        forms = [
            {name: (value.shape, value.dtype) for name, value in each.items()}
            for each in (own, state)
        ]
        if differing := sorted(
            {n for n, _ in forms[0].items() ^ forms[1].items()}
        ):
            raise ValueError(
                f"{place} does not fit config.json: {', '.join(differing[:5])} "
                f"({len(differing)} tensors). {REMEDY}"
            )
        if digest(state) != self.config.weights_sha256:
            raise ValueError(
                f"{place} does not have the weights_sha256 of config.json. "
                f"{REMEDY}"
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])

    def forward(
        self,
        input_values=None,
        attention_mask=None,
        labels=None,
        input_features=None,
    ):
        """Return logits ``[batch, classes]``, and with labels the loss.

        Arguments
        ---------
        input_values, input_features : torch.Tensor
            What the folder's feature extractor makes, under either name.
        attention_mask : torch.Tensor or None
            1 for what is no padding, ``[batch, time]``.
        labels : torch.Tensor or None
            Numbers of classes, ``[batch]``.
        """
        inputs = input_features if input_values is None else input_values
        several = self.windows > 1 and inputs.shape[1] == self.windows
        if several:
            inputs = inputs.flatten(0, 1)
            if attention_mask is not None:
                attention_mask = attention_mask.flatten(0, 1)
        lengths = None
        if attention_mask is not None and not attention_mask.all():
            lengths = attention_mask.float().mean(1)
        logits = self.model(inputs, lengths)
        if several:
            logits = logits.unflatten(0, (-1, self.windows)).mean(1)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def save_pretrained(self, *arguments, **options):
        """Refuse: the folder itself is what can be copied."""
        raise NotImplementedError(
            "copy the folder that this model was loaded from: it holds what "
            "was trained, without the encoder"
        )


def make(data, base):
    """Make the objects that plain data describes."""
    if isinstance(data, list):
        return [make(each, base) for each in data]
    if not isinstance(data, dict):
        return data
    values = {k: make(v, base) for k, v in data.items() if k[:1] != "!"}
    name = data.get("!new", data.get("!name"))
    if name is None:
        return values
    if name not in CLASSES:
        raise ValueError(f"config.json: {name} is none of {[*CLASSES]}")
    if name.startswith(BACKBONES):
        values["source"] = base
    made = partial(CLASSES[name], *make(data.get("!args", []), base), **values)
    return made() if "!new" in data else made
