"""Travelling folders of random models, written fast, without a run."""

import copy
import json

import torch

from petl_modules.inference.facts import parts_of
from petl_modules.inference.opened import CLASSIFICATION
from petl_modules.inference.plain import from_plain
from petl_modules.inference.travelling_config import (
    CONFIG,
    FORMAT,
    KIND,
    seal_of,
)
from petl_modules.models import (
    WEIGHTS,
    save_trained,
    trained_state,
    weights_sha256,
)
from petl_modules.runs import RecipeFile, fill_in_input
from tests.trained import LABELS, ROOT, SMALL

HPARAMS = ROOT / "templates" / "audio_classification" / "hparams"
BLOCK = {"!name": "petl_modules.blocks.Bottleneck", "reduction": 4}
# By name: the methods of a model as plain data
METHODS = {
    "linear": [],
    "lora": [{"!new": "petl_modules.methods.LoRA", "rank": 3, "alpha": 2.0}],
    "last_lora": [{"!new": "petl_modules.methods.LoRA", "layers": "last_1"}],
    "bottleneck": [
        {"!new": "petl_modules.methods.Insert", "at": ["ffn"], "block": BLOCK}
    ],
    "prompts": [
        {
            "!new": "petl_modules.methods.PromptTuning",
            "tokens": 4,
            "deep": True,
        }
    ],
}


def read_parts(stem, backbone):
    """Return the parts of a model that a recipe file trains on an encoder.

    Arguments
    ---------
    stem : str
        Of the recipe file, such as ``ast`` or ``wav2vec2``.
    backbone : str
        Folder of a small encoder.

    Returns
    -------
    dict
        See ``petl_modules.inference.facts.parts_of``.
    """
    recipe = RecipeFile.read(HPARAMS / f"{stem}.yaml", None)
    small = {k: v for k, v in SMALL.items() if k in recipe.tree}
    recipe.update({**small, "backbone": str(backbone), "labels": LABELS})
    fill_in_input(recipe)
    return parts_of(recipe.settings, CLASSIFICATION)


def write_task(
    folder,
    parts,
    backbone,
    method="linear",
    *,
    labels=LABELS,
    seed=0,
    frames=None,
    methods=None,
    **encoder,
):
    """Write a travelling folder whose trained weights are random, none zero.

    Arguments
    ---------
    folder : pathlib.Path
        A new folder.
    parts : dict
        The result of ``read_parts``.
    backbone : str
        Folder of the encoder.
    method : str
        A key of ``METHODS``.
    labels : list of str
        Names of the classes.
    seed : int
        Of the weights.
    frames : int or None
        Another number of frames.
    methods : list or None
        In place of ``method``.
    **encoder
        Arguments of ``TunedEncoder``.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    parts = copy.deepcopy(parts)
    model = parts["model"]
    model["head"]["out_features"] = len(labels)
    model["must_match"] = {"labels": [*labels]}
    model["encoder"] |= {"methods": methods or METHODS[method], **encoder}
    if frames is not None:
        parts["features"]["frames"] = frames
        model["encoder"]["backbone"]["frames"] = frames
    made = from_plain(model, "parts.model", str(backbone)).eval()
    draw = torch.Generator().manual_seed(seed)
    for value in trained_state(made).values():
        if value.is_floating_point():
            value += 0.05 * torch.randn(value.shape, generator=draw).abs()
    folder.mkdir(parents=True)
    save_trained(made, folder / WEIGHTS)
    config = {
        "model_type": KIND,
        "format": FORMAT,
        "task": CLASSIFICATION,
        "base_model": str(backbone),
        "base_revision": None,
        "base_weights": made.settings()["encoder"]["backbone"]["weights"],
        "weights_sha256": weights_sha256(made),
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "sampling_rate": parts["features"].get("sample_rate") or 16_000,
        "parts": parts,
        "about": {},
    }
    text = json.dumps({**config, "config_sha256": seal_of(config)})
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder
