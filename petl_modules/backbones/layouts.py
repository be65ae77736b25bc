"""Layouts: the module names of each kind of encoder.

The table in this file is the only place that knows the module names of the
Hugging Face encoders. A new encoder with ordinary layers is one entry.

Authors
 * The PETL audio recipes team 2026
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Layout:
    """Module names of one kind of encoder.

    Arguments
    ---------
    layers : str
        The list of layers.
    in_layer : dict
        Site name to module name, inside a layer.
    outside : dict
        Site name to module name, outside the layers.
    ffn_output : str
        The linear layer that a layer's feed-forward ends with.
    pre_norm : bool
        Whether norms stand in front of the sublayers they feed, and the
        ``final_norm`` behind the layers.
    leading_tokens : int
        How many tokens stand in front of the frames.
    tokens_before_prompts : int
        How many of those keep their place when prompts come in; the prompts
        take the place of the others.
    """

    layers: str
    in_layer: dict
    outside: dict
    ffn_output: str
    pre_norm: bool
    leading_tokens: int
    tokens_before_prompts: int


AST = Layout(
    layers="layers",
    in_layer={
        "attention": "attention",
        "query": "attention.q_proj",
        "key": "attention.k_proj",
        "value": "attention.v_proj",
        "output": "attention.o_proj",
        "attention_norm": "layernorm_before",
        "ffn": "mlp",
        "ffn_norm": "layernorm_after",
    },
    outside={"embeddings": "embeddings", "final_norm": "layernorm"},
    ffn_output="mlp.fc2",
    pre_norm=True,
    leading_tokens=2,  # CLS and distillation
    tokens_before_prompts=1,  # CLS
)


# Normalises behind the sublayers, so the norm in front of the attention is
# the one at the end of the layer before
WAV2VEC2 = Layout(
    layers="encoder.layers",
    in_layer={
        "attention": "attention",
        "query": "attention.q_proj",
        "key": "attention.k_proj",
        "value": "attention.v_proj",
        "output": "attention.out_proj",
        "ffn": "feed_forward",
        "ffn_norm": "layer_norm",
        "last_norm": "final_layer_norm",
    },
    outside={
        "features": "feature_extractor",
        "projection": "feature_projection",
        "positions": "encoder.pos_conv_embed",
        "final_norm": "encoder.layer_norm",
    },
    ffn_output="feed_forward.output_dense",
    pre_norm=False,
    leading_tokens=0,
    tokens_before_prompts=0,
)


_inside = {k: v for k, v in WAV2VEC2.in_layer.items() if "norm" not in k}


_norms = {"attention_norm": "layer_norm", "ffn_norm": "final_layer_norm"}


WAV2VEC2_PRE_NORM = replace(
    WAV2VEC2, in_layer={**_inside, **_norms}, pre_norm=True
)


LAYOUTS = {
    "audio-spectrogram-transformer": AST,
    "wav2vec2": WAV2VEC2,
    "wav2vec2 (pre-norm)": WAV2VEC2_PRE_NORM,
    "hubert": WAV2VEC2,
    "hubert (pre-norm)": WAV2VEC2_PRE_NORM,
}


def kind_of(config):
    """The key in ``LAYOUTS`` for an encoder's configuration."""
    pre_norm = getattr(config, "do_stable_layer_norm", False)
    return config.model_type + (" (pre-norm)" if pre_norm else "")
