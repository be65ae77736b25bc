"""A trained model for transformers: what ``modeling_petl.py`` begins with.

``petl_modules.exports.single_file`` writes this module and all that it uses
into one file, with ``CLASSES`` filled in.
"""

import json
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from petl_modules.backbones.attention import attention_of
from petl_modules.backbones.encoder_config import FORM
from petl_modules.backbones.pretrained import ENCODER_PART, fingerprint
from petl_modules.models.trained_weights import trained_state
from petl_modules.models.weights_file import _seal, digest

HUB = (
    *("cache_dir", "force_download", "local_files_only", "proxies"),
    *("revision", "subfolder", "token"),
)
# Said by those that call from_pretrained, and of no effect here
SILENT = ("trust_remote_code", "adapter_kwargs", "code_revision")
# By name: what a model is made of
CLASSES = {}


class PetlConfig(PreTrainedConfig):
    """What a trained model is made of, its base, and its classes."""

    model_type = "petl-audio"


class Base(NamedTuple):
    """Where the frozen encoder is, and what it must be.

    Arguments
    ---------
    name : str
        ``owner/name`` of the hub, or a folder.
    revision : str or None
        The commit.
    weights : str
        The fingerprint of its weights.
    config : dict
        The values of its configuration that change outputs.
    hub : dict
        How the hub is reached.
    """

    name: str
    revision: str
    weights: str
    config: dict
    hub: dict


class PetlForAudioClassification(PreTrainedModel):
    """A frozen encoder with what was trained, as a classifier of sounds.

    Arguments
    ---------
    config : PetlConfig
        The content of ``config.json``. ``base_model`` and ``base_revision``
        say where the encoder is. What is trained starts at random here:
        ``from_pretrained`` loads it.
    encoder_config : dict or None
        Values that the encoder's configuration must have.
    hub : dict or None
        Options of ``transformers.utils.cached_file``, for the encoder.
    """

    config_class = PetlConfig

    def __init__(self, config, encoder_config=None, hub=None):
        super().__init__(config)
        base = Base(
            config.base_model,
            config.base_revision,
            config.base_weights,
            encoder_config or {},
            hub or {},
        )
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
            The folder, or a name on the hub.
        config : PetlConfig or None
            Its configuration, if it is known already.
        dtype : torch.dtype, str or None
            float32 alone.
        device_map : str, int, torch.device or None
            One device.
        **options
            ``base_model`` and ``base_revision``: another place of the
            encoder; and options for the hub.
        """
        options = {
            key: value
            for key, value in options.items()
            if key not in SILENT and not key.startswith("_")
        }
        hub = {key: options.pop(key) for key in HUB if key in options}
        if config is None:
            config, options = PetlConfig.from_pretrained(
                folder, return_unused_kwargs=True, **hub, **options
            )
        if options or dtype not in (None, "auto", "float32", torch.float32):
            raise ValueError(
                f"{folder} takes neither {sorted(options)} nor other dtypes "
                "than float32; torch.autocast computes in others"
            )
        state, about = read_weights(cached_file(folder, WEIGHTS, **hub))
        encoder = about["settings"]["encoder"]["backbone"]
        of_base = {k: v for k, v in hub.items() if k in OF_ALL}
        model = cls(config, encoder.get("config"), of_base)
        own = trained_state(model.model)
        if differing := sorted(
            name
            for name in own.keys() | state.keys()
            if _form(own.get(name)) != _form(state.get(name))
        ):
            raise ValueError(
                f"{folder}: {WEIGHTS} does not fit config.json, in "
                f"{', '.join(differing[:5])}. {REMEDY}"
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])
        if digest(own) != config.weights_sha256:
            raise ValueError(
                f"{folder}: {WEIGHTS} does not have the weights_sha256 of "
                f"config.json. {REMEDY}"
            )
        return model.eval().to(device_map or "cpu")
