"""Sites: where things are in each backbone.

The table in this file is the only place that knows the module names of the
Hugging Face encoders. A new backbone is one entry.

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


class Sites:
    """The sites of one encoder, by names that all backbones share.

    ``layers.3.query`` is the query projection of the fourth layer,
    ``final_norm`` the norm outside the layers: behind the last one, or, where
    layers normalise behind their sublayers, in front of the first.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        The encoder. Its configuration selects the table entry.

    Raises
    ------
    ValueError
        If there is no entry for this kind of encoder.
    """

    def __init__(self, model):
        kind = kind_of(model.config)
        if kind not in LAYOUTS:
            raise ValueError(
                f"no sites are known for backbones of the kind '{kind}'; "
                f"known: {', '.join(LAYOUTS)}. An entry in LAYOUTS of "
                f"{__name__} adds one"
            )
        self.model = model
        self.kind = kind
        self.layout = LAYOUTS[kind]
        self.n_layers = len(model.get_submodule(self.layout.layers))

    def in_every_layer(self, names):
        """The given sites in all layers, in the order of the layers.

        Arguments
        ---------
        names : list of str
            Site names such as ``attention`` or ``query``.

        Returns
        -------
        list of str
            Full names, such as ``layers.0.query``.

        Raises
        ------
        ValueError
            If a name is none of this backbone's or stands twice, or if the
            list is empty.
        """
        known = self.layout.in_layer
        if isinstance(names, str) or not names:
            raise ValueError(
                f"'at' takes a list of sites, not {names!r}; sites: "
                f"{', '.join(known)}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"'at' names a site twice: {list(names)}")
        for name in names:
            if name not in known:
                raise ValueError(
                    f"no site '{name}' in {self.kind}; sites: "
                    f"{', '.join(known)}"
                )
        return [f"layers.{i}.{n}" for i in range(self.n_layers) for n in names]

    def path(self, site):
        """Module path of a site (``layers.3`` alone is a layer)."""
        if not site.startswith("layers."):
            return self.layout.outside[site]
        _, index, *name = site.split(".")
        inside = [self.layout.in_layer[name[0]]] if name else []
        return ".".join([self.layout.layers, index, *inside])

    def module(self, site):
        """The module at a site."""
        return self.model.get_submodule(self.path(site))

    def feeding_norm(self, site):
        """Site of the norm whose output is a site's input, or None."""
        norm = f"{site.rpartition('.')[2]}_norm"
        return f"{site}_norm" if norm in self.layout.in_layer else None

    def parameter_names(self):
        """Names of all parameters by site.

        Returns
        -------
        dict
            From parameter path in the model, ``layers.3.mlp.fc1.weight``, to
            a name that holds for every backbone, ``layers.3.ffn.fc1.weight``.
        """
        sites = [*self.layout.outside]
        sites += self.in_every_layer([*self.layout.in_layer])
        paths = {self.path(site): site for site in sites}
        by_length = sorted(paths, key=len, reverse=True)
        names = {}
        for path, _ in self.model.named_parameters():
            root = next((p for p in by_length if path.startswith(p + ".")), "")
            names[path] = paths.get(root, "") + path[len(root) :]
        return names
