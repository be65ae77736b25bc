"""Read the reference numbers of IPET, and build our models of its cases.

``PETL_PARITY_IPET=DIR`` takes another folder of the same format:
``index.json`` and one safetensors file a case. In a file, ``backbone.*`` are
weights under the names of transformers, ``petl.*`` and ``head.*`` under those
of the released modules, ``grad.petl.*`` the gradients of ``loss_of(output)``.
"""

import json
import os
import re
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import ASTConfig, ASTModel, Wav2Vec2Config, Wav2Vec2Model

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.blocks import Bottleneck
from petl_modules.methods import Insert, PromptTuning
from petl_modules.models import (
    LinearHead,
    MeanPooling,
    MeanStdPooling,
    TunedEncoder,
    TunedModel,
    trained_state,
)

FOLDER = Path(
    os.environ.get(
        "PETL_PARITY_IPET", Path(__file__).parent / "fixtures" / "ipet"
    )
)
INDEX = json.loads((FOLDER / "index.json").read_text())
MODELS = [case for case in INDEX["cases"] if case["backbone"]]

# From a released name to the site
NAMES = [
    (r"^embedding_prompt(\d+)$", r"layers.\1.tokens"),
    (r"^v\.blocks\.(\d+)\.adaptmlp\.", r"layers.\1.ffn."),
    (r"^wav2vec2\.encoder\.layers\.(\d+)\.adapter\.", r"layers.\1.ffn."),
    (r"^wav2vec2\.encoder\.layers\.(\d+)\.embed_prompt$", r"layers.\1.tokens"),
    (r"^mlp_head\.0\.", "norm."),
    (r"^mlp_head\.1\.", "linear."),
    (r"^mlp_head1\.0\.", "0."),
    (r"^mlp_head2\.0\.", "1.norm."),
    (r"^mlp_head2\.1\.", "1.linear."),
]


def read(name):
    """The tensors of a file, those of a part as a dict of their own."""
    found = {"backbone": {}, "petl": {}, "head": {}, "grad": {}}
    for key, value in load_file(FOLDER / name).items():
        key = key.replace("grad.petl.", "grad.")
        part, _, rest = key.partition(".")
        if rest:
            found[part][rest] = value
        else:
            found[part] = value
    return found


def loss_of(output):
    """What the gradients are of."""
    weights = torch.linspace(-1, 1, output.numel())
    return (output.flatten() * weights).sum()


def our_names(released, prefix):
    """Released tensors under our names, by the index of each method."""
    ours = {}
    for name, value in released.items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        # Prompts are the first of the methods, where there are both
        place = prefix["tokens" if name.endswith("tokens") else "ffn"]
        ours[f"{place}.{name}"] = value.squeeze(0) if value.ndim == 3 else value
    return ours


def methods_of(settings):
    """Our methods for a case's settings, and the prefixes of their names."""
    methods, prefix = [], {}
    if settings["prompts"]:
        prefix["tokens"] = len(methods)
        methods.append(
            PromptTuning(
                tokens=settings["prompts"],
                deep=True,
                replace_distillation=False,
                init="xavier",
            )
        )
    if settings["width"]:
        block = partial(
            Bottleneck,
            reduction=INDEX["ast_config"]["hidden_size"] / settings["width"],
            init_std=None,
            activation="relu",
            dropout=0.1,
            scale=settings["scale"],
        )
        prefix["ffn"] = len(methods)
        methods.append(
            Insert(
                at=["ffn"],
                block=block,
                reads="stream",
                # As released: the stream is added once more
                residual=settings.get("inner_residual", False),
            )
        )
    return methods, prefix


def backbone_of(case, tensors, folder):
    """The backbone of a case, loaded from a local folder."""
    if case["backbone"] == "ast":
        source = ASTModel(ASTConfig(**INDEX["ast_config"]))
    else:
        config = Wav2Vec2Config(**INDEX["wav2vec2_config"], mask_time_prob=0.0)
        source = Wav2Vec2Model(config)
    source.load_state_dict(tensors["backbone"])
    source.save_pretrained(folder)
    if case["backbone"] == "ast":
        return AST(str(folder), frames=tensors["input"].shape[1])
    return Wav2Vec2(str(folder))


def verification_head(d_in, *, out_features):
    """An embedding, and the classes of the training speakers."""
    embedding = nn.Linear(d_in, INDEX["embedding_size"])
    width = INDEX["embedding_size"]
    return nn.Sequential(
        embedding, LinearHead(width, out_features=out_features, norm=True)
    )


def build(case, tensors, folder):
    """Our model of a case with its weights, and its gradients by our names."""
    on_ast = case["backbone"] == "ast"
    methods, prefix = methods_of(case["settings"])
    encoder = TunedEncoder(
        backbone_of(case, tensors, folder),
        methods,
        tokens="cls+distillation" if on_ast else "speech",
        train_norms=False,
    )
    head = partial(LinearHead, norm=True)
    if case["head"] == "VoxCeleb1":
        head = verification_head
    model = TunedModel(
        encoder,
        partial(head, out_features=INDEX["num_classes"]),
        MeanPooling() if on_ast else MeanStdPooling(),
    )
    state = our_names(tensors["petl"], prefix)
    state |= our_names(tensors["head"], {"ffn": "head"})
    own = trained_state(model)
    assert state.keys() == own.keys()
    for name, value in state.items():
        own[name].copy_(value)
    return model.eval(), our_names(tensors["grad"], prefix)


def gradients_of(model):
    """The gradients of what is inserted, by name."""
    return {
        f"{key}.{name}": parameter.grad
        for key, path in model.encoder.inserted.items()
        for name, parameter in model.encoder.get_submodule(
            path
        ).named_parameters()
    }
