"""config.json of encoders of speech: every key fits, or is refused by name."""

import json

import pytest
import torch
from test_encoder_config import LAYER_NORMS, WAVES, others
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from petl_modules.backbones import W2vBert, Wav2Vec2, Whisper
from petl_modules.backbones.tiny import SMALL, write_random
from petl_modules.models import load_trained, save_trained
from petl_modules.utils import UserError
from tests.models import classifier

# By model type: classes and sizes, what loads it, and the shape of a batch
KINDS = {
    "wavlm": (
        (WavLMModel, WavLMConfig(**WAVES, **LAYER_NORMS)),
        Wav2Vec2,
        (2, 1600),
    ),
    "data2vec-audio": (
        (
            Data2VecAudioModel,
            Data2VecAudioConfig(
                **{**WAVES, "num_conv_pos_embeddings": 2},
                conv_pos_kernel_size=5,
            ),
        ),
        Wav2Vec2,
        (2, 1600),
    ),
    "wav2vec2-bert": (
        (
            Wav2Vec2BertModel,
            Wav2Vec2BertConfig(
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=16,
                feature_projection_input_dim=8,
                conv_depthwise_kernel_size=3,
            ),
        ),
        W2vBert,
        (2, 9, 8),
    ),
    "whisper": (
        (
            WhisperModel,
            WhisperConfig(
                **{
                    **SMALL["whisper"][2],
                    "d_model": 16,
                    "encoder_ffn_dim": 16,
                    "max_source_positions": 12,
                }
            ),
        ),
        Whisper,
        (2, 20, 80),
    ),
}


@pytest.mark.whole
@pytest.mark.parametrize("kind", KINDS)
def test_every_key_fits_or_is_refused(kind, tmp_path):
    """Outputs are equal, or the key's line is among the differences."""
    written, make, shape = KINDS[kind]
    folder = str(tmp_path / "encoder")
    write_random(folder, *written, seed=0)
    torch.manual_seed(0)
    x = torch.randn(*shape)
    model = classifier(make(folder), ["a", "b"]).eval()
    save_trained(model, tmp_path / "trained")
    with torch.no_grad():
        logits = model(x)
    file = tmp_path / "encoder" / "config.json"
    config = json.loads(file.read_text())
    equal, refused = set(), set()
    for key, value in {**written[1].to_dict(), "use_cache": None}.items():
        for other in others(value):
            file.write_text(json.dumps({**config, key: other}))
            try:
                found = classifier(make(folder), ["a", "b"]).eval()
                load_trained(found, tmp_path / "trained")
            except UserError as error:
                message = str(error)
                assert folder in message or key in message, (key, other)
                refused.add(key)
                continue
            with torch.no_grad():
                assert torch.equal(found(x), logits), (key, other)
            equal.add(key)
    assert {"architectures", "torch_dtype", "dtype"} & equal
    assert {"num_attention_heads", "encoder_attention_heads"} & refused


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("whisper", "encoder_layers"),
        ("data2vec-audio", "num_conv_pos_embeddings"),
    ],
)
def test_more_layers_than_any_encoder_has(kind, key, tmp_path):
    """Refused before they are built."""
    written, make, _ = KINDS[kind]
    write_random(tmp_path / "encoder", *written, seed=0)
    file = tmp_path / "encoder" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: 2**31}))
    with pytest.raises(UserError, match=f"{key} is .* layers long"):
        make(str(tmp_path / "encoder"))
