"""Which numbers an encoder's ``config.json`` may have."""

import math

from petl_modules.utils import HparamsError

MOST_LAYERS = 1000
# Keys with the number of layers
LAYERS = ("encoder_layers", "num_hidden_layers")
# Keys of the encoder with numbers above 0; a list has one for each layer
SIZES = (
    *LAYERS,
    "conv_depthwise_kernel_size",
    "conv_dim",
    "conv_kernel",
    "conv_pos_kernel_size",
    "conv_stride",
    "d_model",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "feature_projection_input_dim",
    "frequency_stride",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_length",
    "max_source_positions",
    "num_attention_heads",
    "num_conv_pos_embedding_groups",
    "num_conv_pos_embeddings",
    "num_mel_bins",
    "patch_size",
    "time_stride",
)
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


def require_possible(file, key, value):
    """Refuse a value of a key of the encoder that no encoder can have.

    Arguments
    ---------
    file : pathlib.Path
        The ``config.json``, for the message.
    key : str
        A key of it.
    value : object
        Its value.

    Raises
    ------
    HparamsError
        Names file, key, value and what it must be.
    """
    parts = value if isinstance(value, list) else [value]
    layers = len(parts)
    if key in LAYERS and isinstance(value, int):
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
