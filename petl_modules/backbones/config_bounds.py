"""Bounds of the numbers in an encoder's ``config.json``."""

import math

from petl_modules.utils import HparamsError

MOST_LAYERS = 1000
# Keys of the encoder with numbers above 0; a list has one for each layer
SIZES = (
    "conv_depthwise_kernel_size",
    "conv_dim",
    "conv_kernel",
    "conv_pos_kernel_size",
    "conv_stride",
    "d_model",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "encoder_layers",
    "feature_projection_input_dim",
    "frequency_stride",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_bucket_distance",
    "max_length",
    "max_source_positions",
    "num_attention_heads",
    "num_buckets",
    "num_conv_pos_embedding_groups",
    "num_conv_pos_embeddings",
    "num_hidden_layers",
    "num_mel_bins",
    "patch_size",
    "time_stride",
)
# Those that count layers, and by kind of encoder
COUNTS = ("num_hidden_layers", "encoder_layers")
COUNTS_OF = {"data2vec-audio": (*COUNTS, "num_conv_pos_embeddings")}
PROBABILITIES = (
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "conformer_conv_dropout",
    "dropout",
    "feat_proj_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
)


def require_possible(file, key, value, kind):
    """Refuse a value of a key of the encoder that no encoder can have.

    Arguments
    ---------
    file : pathlib.Path
        The ``config.json``, for the message.
    key : str
        One of its keys.
    value : object
        The value.
    kind : object
        The encoder's ``model_type``.

    Raises
    ------
    HparamsError
        If it is impossible.
    """
    parts = value if isinstance(value, list) else [value]
    layers = len(parts)
    if key in COUNTS_OF.get(str(kind), COUNTS) and isinstance(value, int):
        layers = value
    if key in SIZES and layers not in range(1, MOST_LAYERS + 1):
        raise HparamsError(
            f"{file}: {key} is {layers} layers long, and an encoder here has "
            f"1 to {MOST_LAYERS}. Copy or download it again"
        )
    for number in parts:
        if not isinstance(number, (int, float)):
            continue  # the library checks the types
        if key in SIZES and not 0 < number < math.inf:
            wanted = "a number above 0"
        elif key in PROBABILITIES and not 0 <= number <= 1:
            wanted = "a number from 0 to 1"
        else:
            continue
        raise HparamsError(
            f"{file}: {key} is {value}: it must be {wanted}. Copy or "
            "download it again"
        )
