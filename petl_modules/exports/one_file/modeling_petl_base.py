"""The frozen encoder and the trained weights, in ``modeling_petl.py``."""

import json
from typing import NamedTuple

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import logging

from petl_modules.backbones.attention import attention_of
from petl_modules.backbones.encoder_config import FORM
from petl_modules.backbones.pretrained import ENCODER_PART, fingerprint
from petl_modules.models.weights_file import file_seal

REMEDY = "Download or copy the folder again"


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
            f"the encoder {source} could not be loaded: {error}\nIf it is "
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
