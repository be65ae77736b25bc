"""An encoder's ``config.json``: its bounds, and what of it changes outputs."""

import json

import torch
from transformers import AutoConfig, AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from petl_modules.backbones.attention import attention_of
from petl_modules.backbones.config_bounds import require_possible
from petl_modules.backbones.hub import CONFIG
from petl_modules.utils import HparamsError, brief

MOST_BYTES = 10_000_000  # of config.json
# Of the output's form: what the encoders here count on
FORM = {
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}
# Keys that change no output of an encoder. These begin like one of them: names
# and versions, token ids, heads of other tasks, the quantizer of pretraining,
# random initialisation, a decoder behind the encoder, masks of SpecAugment, which is off, and the sizes of an
# adapter that is left out. (Dropout does change the training of whole layers.)
NO_EFFECT = (
    "_",
    "adapter_kernel_size",
    "adapter_stride",
    "architectures",
    "auto_map",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_proj_size",
    "codevector_dim",
    "contrastive_logits_temperature",
    "ctc_",
    "decoder_",
    "diversity_loss_weight",
    "dtype",
    "eos_token_id",
    "feat_quantizer_dropout",
    "finetuning_task",
    "id2label",
    "initializer_range",
    "label2id",
    "mask_",
    "max_target_positions",
    "median_filter_width",
    "num_adapter_layers",
    "num_codevector",
    "num_labels",
    "num_negatives",
    "output_hidden_size",
    "pad_token_id",
    "problem_type",
    "proj_codevector_dim",
    "suppress_tokens",
    "task_specific_params",
    "tdnn_",
    "tokenizer_class",
    "transformers_version",
    "use_weighted_layer_sum",
    "vocab_size",
    "xvector_output_dim",
)


def read_object(file):
    """Return the content of a JSON file that holds keys and values.

    Arguments
    ---------
    file : pathlib.Path
        A file of a checkpoint.

    Returns
    -------
    dict

    Raises
    ------
    HparamsError
        If the file is damaged, or larger than any such file.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES:,} bytes")
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no keys and values")
    except (ValueError, RecursionError) as error:
        raise HparamsError(
            f"{file} is damaged ({error}). Copy or download it again"
        ) from error
    return content


def read_config(checkpoint, **changes):
    """Read the configuration of an encoder.

    Arguments
    ---------
    checkpoint : petl_modules.backbones.Checkpoint
        The checkpoint.
    **changes : object
        Values to set; those that this kind of encoder lacks are left out.

    Returns
    -------
    transformers.PretrainedConfig

    Raises
    ------
    HparamsError
        If it is damaged or impossible; no code of the checkpoint is run.
    """
    file = checkpoint.folder / CONFIG
    content = read_object(file)
    for key, value in content.items():
        require_possible(file, key, value, content.get("model_type"))
    try:
        config = AutoConfig.from_pretrained(
            checkpoint.folder, trust_remote_code=False
        )
        for key, value in {**FORM, **changes}.items():
            if hasattr(config, key):
                setattr(config, key, value)
    except Exception as error:  # each kind of encoder raises its own
        raise HparamsError(_impossible(file, error)) from error
    return config


def require_enough_weights(config, checkpoint):
    """Refuse an encoder that is larger than the weights in its folder.

    It is built without memory for this, so that sizes which no machine has
    end in a message.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The encoder's configuration.
    checkpoint : petl_modules.backbones.Checkpoint
        Its checkpoint.

    Raises
    ------
    HparamsError
        If ``config`` is impossible, or needs more numbers than there are.
    """
    file = checkpoint.folder / CONFIG
    files = [
        *checkpoint.folder.glob("*.safetensors"),
        *checkpoint.folder.glob("*.bin"),
    ]
    files = [f for f in files if f.is_file()]
    size = sum(f.stat().st_size for f in files)
    try:
        with torch.device("meta"):
            model = _make(config, attn_implementation=attention_of(config))
        numbers = sum(p.numel() for p in model.parameters())
    except Exception as error:  # each kind of encoder raises its own
        raise HparamsError(_impossible(file, error)) from error
    if files and numbers > size:  # each takes a byte or more
        names = ", ".join(sorted(f.name for f in files)[:3])
        raise HparamsError(
            f"{file} describes an encoder of {numbers:,} parameters, and the "
            f"weights beside it ({names}) have {size:,} bytes: they belong "
            "to another one, or are cut. Copy or download both again"
        )


def _make(config, **options):
    """Return an encoder with random weights."""
    if config.model_type == "whisper":
        return WhisperEncoder._from_config(config, **options)
    return AutoModel.from_config(config, trust_remote_code=False, **options)


def forward_settings(config):
    """Return what of a configuration may change the outputs of an encoder.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The configuration, after ``read_config``.

    Returns
    -------
    dict
        Plain data.
    """
    return {
        key: value
        for key, value in json.loads(config.to_json_string(False)).items()
        if not key.startswith(NO_EFFECT)
    }


def _impossible(file, error):
    """Return the text for a configuration of which nothing can be made."""
    return (
        f"{file} describes no encoder that can be made "
        f"({type(error).__name__}: {brief(error)}). Copy or download it again"
    )
