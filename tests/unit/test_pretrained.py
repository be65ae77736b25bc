"""The small pretrained backbones that stand in the repository."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.data import FilterBank, Waveform
from petl_modules.miniatures.environment import synthesize
from petl_modules.miniatures.trials import BACKBONES, ROOT

SMALL = "small-wav2vec2"
ENCODERS = {
    "ast": (lambda folder: AST(folder, frames=200), FilterBank(200)),
    "wav2vec2": (Wav2Vec2, Waveform(2.0)),
    SMALL: (Wav2Vec2, Waveform(2.0)),
}
FOLDERS = {**BACKBONES, SMALL: ROOT / "pretrained" / SMALL}
RECORDED = Path(__file__).with_name("pretrained.json")


@pytest.fixture(params=FOLDERS, scope="module")
def kind(request):
    return request.param


def outputs(kind):
    """Mean of an encoder's tokens for a generated clip."""
    samples = synthesize("rooster", np.random.default_rng(5), 2.0, 16000)
    build, features = ENCODERS[kind]
    encoder = build(str(FOLDERS[kind])).eval()
    with torch.inference_mode():
        batch = features(torch.from_numpy(samples).float()).unsqueeze(0)
        return encoder(batch).mean(1)[0]


def test_outputs_are_those_recorded(kind):
    recorded = json.loads(RECORDED.read_text("utf-8"))[kind]
    torch.testing.assert_close(
        outputs(kind), torch.tensor(recorded), atol=1e-4, rtol=1e-4
    )


def test_every_weight_is_loaded(kind):
    """What is in the file is what the encoder computes with."""
    build, _ = ENCODERS[kind]
    weights = build(str(FOLDERS[kind])).model.state_dict().values()
    there = {weight.numpy().tobytes() for weight in weights}
    with safe_open(FOLDERS[kind] / "model.safetensors", "np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}
    # Cut to the frames; worked into one weight
    changed = ("position_embeddings", "pos_conv_embed.conv.parametrizations")
    for name, weight in stored.items():
        if not any(text in name for text in changed):
            assert weight.tobytes() in there, name
            assert weight.size == 1 or weight.std() > 0, name


def test_files_are_small(kind):
    files = [*FOLDERS[kind].iterdir()]
    assert {f.name for f in files} == {
        *(["LICENSE"] if kind == SMALL else []),  # that of its recordings
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert sum(file.stat().st_size for file in files) < 6e6


def test_positions_are_cut_from_a_long_grid():
    config = json.loads((BACKBONES["ast"] / "config.json").read_text())
    assert config["max_length"] == 1024 and config["hidden_size"] <= 128
    with safe_open(BACKBONES["ast"] / "model.safetensors", "pt") as file:
        grid = file.get_tensor("embeddings.position_embeddings")
    middle = grid[0, 2:].unflatten(0, (8, 64))[:, 29:35]
    used = AST(str(BACKBONES["ast"]), 100).model.embeddings.position_embeddings
    assert torch.equal(used[0, 2:].unflatten(0, (8, 6)), middle)
