"""A trained model for transformers: what ``modeling_petl.py`` ends with.

``petl_modules.exports.single_file`` writes this module and all that it uses
into one file, with ``CLASSES`` filled in.
"""

import json
from functools import partial
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import cached_file, logging

from petl_modules.backbones.attention import attention_of
from petl_modules.backbones.encoder_config import FORM
from petl_modules.backbones.pretrained import ENCODER_PART, fingerprint
from petl_modules.models.trained_weights import trained_state
from petl_modules.models.weights_file import (
    WEIGHTS,
    digest,
    file_seal,
)

# Options of the hub: those for the encoder, too, and all
HUB = ("cache_dir", "force_download", "local_files_only", "proxies", "token")
OWN_HUB = (*HUB, "revision", "subfolder")
# What callers of from_pretrained say, and has no effect here
SILENT = ("adapter_kwargs", "code_revision", "trust_remote_code")
REMEDY = "Download or copy the folder again"
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


class Base(NamedTuple):
    """The frozen encoder: where it is, and what it must be.

    Arguments
    ---------
    name : str
        ``owner/name`` of the hub, or a folder.
    revision : str or None
        The commit.
    weights : str
        The fingerprint of its weights.
    config : dict
        What of its configuration changes outputs.
    hub : dict
        Options of the hub.
    """

    name: str
    revision: str
    weights: str
    config: dict
    hub: dict

    def __str__(self):
        return self.name


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
        windows = config.parts["windows"].get("test", 1)
        self.windows = windows if isinstance(windows, int) else 1

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


def load_pretrained(kinds, source, **changes):
    """Load the frozen encoder, and verify that it is that of the training.

    Arguments
    ---------
    kinds : tuple of str
        Not used: weights are of one kind.
    source : Base
        The encoder.
    **changes : object
        Values of its configuration to change.
    """
    where = {"revision": source.revision, **source.hub}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # weights of other heads are left out
    try:
        config = AutoConfig.from_pretrained(source.name, **where)
        for key, value in {**FORM, **changes}.items():
            if hasattr(config, key):
                setattr(config, key, value)
        whisper = config.model_type == "whisper"
        model = (WhisperEncoder if whisper else AutoModel).from_pretrained(
            source.name,
            config=config,
            attn_implementation=attention_of(config),
            dtype=torch.float32,
            **({"key_mapping": ENCODER_PART} if whisper else {}),
            **where,
        )
    except Exception as error:
        raise OSError(
            f"the encoder {source} could not be loaded: {error}. If it is "
            "elsewhere, give base_model=PATH"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    if hasattr(model, "masked_spec_embed"):  # not used, and at random
        del model.masked_spec_embed
    said = json.loads(config.to_json_string(False))
    other = [
        k for k in source.config.keys() & said if said[k] != source.config[k]
    ]
    if fingerprint(model) != source.weights or other:
        what = f"other values of {sorted(other)}" if other else "other weights"
        raise ValueError(
            f"the encoder {source} is not the one of the training: it has "
            f"{what}. Give the right one as base_model=PATH"
        )
    return model


def nothing(*arguments, **options):
    """Stand for what training alone needs, or other models than this one."""
    return ()


def read_weights(file):
    """Read what was trained; return tensors by name, and what they fit."""
    try:
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata()
            state = {name: stored.get_tensor(name) for name in stored.keys()}
        text = metadata["petl"]
        intact = metadata["sha256"] == file_seal(text, state)
    except Exception as error:
        raise ValueError(f"{file} is damaged: {error}. {REMEDY}") from error
    if not intact:
        raise ValueError(f"{file} is damaged or was changed. {REMEDY}")
    return state, json.loads(text)
