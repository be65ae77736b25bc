"""Layouts: the module names of each kind of encoder.

The table in this file is the only place that knows the module names of the
Hugging Face encoders. A new encoder with ordinary layers is one entry.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Site(NamedTuple):
    """A target module: a place in each layer that a block can adapt.

    Arguments
    ---------
    entry : str
        Path, inside a layer, of the module whose first argument is the
        site's input.
    exit : str or None
        Path of the module whose output is the site's output. None: the same
        module. A feed-forward that is two linear layers without a module
        around them is ``Site(entry="fc1", exit="fc2")``.
    norm : str or None
        Path of the norm whose output is the site's input, if there is one.
    """

    entry: str
    exit: str | None = None
    norm: str | None = None


@dataclass(frozen=True)
class Layout:
    """Module names of one kind of encoder.

    Arguments
    ---------
    layers : str
        Path of the list of layers.
    sites : dict
        From name to ``Site``, in each layer. ``query``, ``key``, ``value``,
        ``output``, ``ffn_in`` and ``ffn_out`` are linear layers.
    norms : dict
        From name to module path, in each layer.
    outside : dict
        From name to module path, outside the layers; ``final_norm`` is the
        norm behind the layers, or, where layers normalise behind their
        sublayers, in front of the first. ``{last}`` in a path stands for the
        number of the last layer: some encoders have no norm behind it.
    pre_norm : bool
        Whether the norm of a site feeds nothing else: layers normalise in
        front of their sublayers.
    stem : tuple of str
        Paths of the modules that an input goes through first, in their order.
        What is behind them depends on the input through their outputs alone.
    feed_forwards : dict
        The sites that are feed-forwards, each with the site of the linear
        layer that it ends with.
    num_prefix_tokens : int
        How many tokens are in front of the frames.
    tokens_before_prompts : int
        How many of those stay in front of prompts; prompts replace the others.
    time_major : bool
        Whether the frames are in the order of time, one a step.
    """

    layers: str
    sites: dict
    norms: dict
    outside: dict
    pre_norm: bool
    stem: tuple = ()
    feed_forwards: dict = field(default_factory=lambda: {"ffn": "ffn_out"})
    num_prefix_tokens: int = 0
    tokens_before_prompts: int = 0
    time_major: bool = True


AST = Layout(
    layers="layers",
    sites={
        "attention": Site("attention", norm="layernorm_before"),
        "query": Site("attention.q_proj"),
        "key": Site("attention.k_proj"),
        "value": Site("attention.v_proj"),
        "output": Site("attention.o_proj"),
        "ffn": Site("mlp", norm="layernorm_after"),
        "ffn_in": Site("mlp.fc1"),
        "ffn_out": Site("mlp.fc2"),
    },
    norms={"attention_norm": "layernorm_before", "ffn_norm": "layernorm_after"},
    outside={"embeddings": "embeddings", "final_norm": "layernorm"},
    stem=("embeddings.patch_embeddings",),
    pre_norm=True,
    num_prefix_tokens=2,  # CLS and distillation
    tokens_before_prompts=1,  # CLS
    time_major=False,  # patches of one frequency band after another
)

# Normalises behind the sublayers, so the norm in front of the attention is
# the one at the end of the layer before
WAV2VEC2 = Layout(
    layers="encoder.layers",
    sites={
        "attention": Site("attention"),
        "query": Site("attention.q_proj"),
        "key": Site("attention.k_proj"),
        "value": Site("attention.v_proj"),
        "output": Site("attention.out_proj"),
        "ffn": Site("feed_forward", norm="layer_norm"),
        "ffn_in": Site("feed_forward.intermediate_dense"),
        "ffn_out": Site("feed_forward.output_dense"),
    },
    norms={"ffn_norm": "layer_norm", "last_norm": "final_layer_norm"},
    outside={
        "features": "feature_extractor",
        "projection": "feature_projection",
        "positions": "encoder.pos_conv_embed",
        "final_norm": "encoder.layer_norm",
    },
    stem=(
        "feature_extractor",
        "feature_projection",
        "encoder.pos_conv_embed",
    ),
    pre_norm=False,
)

WAV2VEC2_PRE_NORM = replace(
    WAV2VEC2,
    sites={
        **WAV2VEC2.sites,
        "attention": Site("attention", norm="layer_norm"),
        "ffn": Site("feed_forward", norm="final_layer_norm"),
    },
    norms={"attention_norm": "layer_norm", "ffn_norm": "final_layer_norm"},
    pre_norm=True,
)

# A conformer: feed-forward, attention, convolution, feed-forward, norm. What the
# feed-forwards add to the stream is halved, and so is what a block there adds
W2V_BERT = Layout(
    layers="encoder.layers",
    sites={
        "attention": Site("self_attn", norm="self_attn_layer_norm"),
        "query": Site("self_attn.linear_q"),
        "key": Site("self_attn.linear_k"),
        "value": Site("self_attn.linear_v"),
        "output": Site("self_attn.linear_out"),
        "conv": Site("conv_module"),
        "ffn": Site("ffn2", norm="ffn2_layer_norm"),
        "ffn_in": Site("ffn2.intermediate_dense"),
        "ffn_out": Site("ffn2.output_dense"),
        "ffn_first": Site("ffn1", norm="ffn1_layer_norm"),
        "ffn_first_in": Site("ffn1.intermediate_dense"),
        "ffn_first_out": Site("ffn1.output_dense"),
    },
    norms={
        "ffn_first_norm": "ffn1_layer_norm",
        "attention_norm": "self_attn_layer_norm",
        "ffn_norm": "ffn2_layer_norm",
        "last_norm": "final_layer_norm",
    },
    outside={
        "projection": "feature_projection",
        "final_norm": "encoder.layers.{last}.final_layer_norm",
    },
    stem=("feature_projection",),
    pre_norm=True,
    feed_forwards={"ffn": "ffn_out", "ffn_first": "ffn_first_out"},
)

WHISPER = Layout(
    layers="layers",
    sites={
        "attention": Site("self_attn", norm="self_attn_layer_norm"),
        "query": Site("self_attn.q_proj"),
        "key": Site("self_attn.k_proj"),
        "value": Site("self_attn.v_proj"),
        "output": Site("self_attn.out_proj"),
        "ffn": Site(entry="fc1", exit="fc2", norm="final_layer_norm"),
        "ffn_in": Site("fc1"),
        "ffn_out": Site("fc2"),
    },
    norms={
        "attention_norm": "self_attn_layer_norm",
        "ffn_norm": "final_layer_norm",
    },
    outside={
        "features": "conv1",
        "features_last": "conv2",
        "positions": "embed_positions",
        "final_norm": "layer_norm",
    },
    stem=("conv1", "conv2"),
    pre_norm=True,
)

# Encoders of waveforms: the same modules under the same names; those in front
# also exist with the norms in front of the sublayers
OF_TWO_NORMS = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
WAVEFORM_KINDS = (*OF_TWO_NORMS, "data2vec-audio")
LAYOUTS = {
    "audio-spectrogram-transformer": AST,
    **dict.fromkeys(WAVEFORM_KINDS, WAV2VEC2),
    **{f"{kind} (pre-norm)": WAV2VEC2_PRE_NORM for kind in OF_TWO_NORMS},
    "wav2vec2-bert": W2V_BERT,
    "whisper": WHISPER,
}


def kind_of(config):
    """Return the key in ``LAYOUTS`` for an encoder's configuration."""
    pre_norm = getattr(config, "do_stable_layer_norm", False)
    return config.model_type + (" (pre-norm)" if pre_norm else "")
