"""Small random encoders of every kind, and batches for them."""

import copy
from functools import partial

import torch
from transformers import AutoModel, Wav2Vec2Config, Wav2Vec2Model

from petl_modules.backbones import W2vBert, Wav2Vec2, Whisper, write_tiny
from petl_modules.backbones.tiny import WAVES, write_random

# As MMS with adapters for a language
MMS = {
    **WAVES,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
    "adapter_attn_dim": 16,
}
# By name: how it is written, and the class that loads it
ENCODERS = {
    "wavlm": (partial(write_tiny, "wavlm"), Wav2Vec2),
    "wavlm-large": (partial(write_tiny, "wavlm", norm="layer"), Wav2Vec2),
    "hubert": (partial(write_tiny, "hubert"), Wav2Vec2),
    "unispeech": (partial(write_tiny, "unispeech"), Wav2Vec2),
    "unispeech-sat": (
        partial(write_tiny, "unispeech-sat", norm="layer"),
        Wav2Vec2,
    ),
    "data2vec-audio": (partial(write_tiny, "data2vec-audio"), Wav2Vec2),
    "mms": (
        lambda folder: write_random(
            folder, Wav2Vec2Model, Wav2Vec2Config(**MMS), seed=0
        ),
        Wav2Vec2,
    ),
    "w2v-bert": (partial(write_tiny, "w2v-bert"), W2vBert),
    "whisper": (
        partial(write_tiny, "whisper"),
        partial(Whisper, seconds=0.5),
    ),
}


class TinyEncoder:
    """One of ``ENCODERS`` in a folder.

    Arguments
    ---------
    name : str
        A key of ``ENCODERS``.
    folder : pathlib.Path
        A new folder.
    """

    def __init__(self, name, folder):
        write, make = ENCODERS[name]
        write(folder)
        self.name, self.folder, self.make = name, str(folder), make
        self.loaded = None

    @property
    def made(self):
        """The class of the backbone."""
        return getattr(self.make, "func", self.make)

    def backbone(self):
        """Return a backbone of its own."""
        if self.loaded is None:
            self.loaded = self.make(self.folder)
        return copy.deepcopy(self.loaded)

    def batch(self):
        """Return a short clip and a long one, and their relative lengths."""
        torch.manual_seed(1)
        shape, short = {
            Wav2Vec2: ((2_900,), 1_700),
            W2vBert: ((21, 160), 14),
            Whisper: ((48, 80), 31),
        }[self.made]
        inputs = torch.randn(2, *shape)
        inputs[0, short:] = 0
        return inputs, torch.tensor([short / shape[0], 1.0])

    def alone(self):
        """Return the short clip alone, and that nothing of it is padded."""
        inputs, lengths = self.batch()
        short = round(float(lengths[0]) * inputs.shape[1])
        return inputs[:1, :short], torch.ones(1)

    def stock_states(self, inputs):
        """Return the hidden states of Hugging Face's own model."""
        model = AutoModel.from_pretrained(self.folder).eval()
        if self.made is Whisper:
            model = model.encoder
            padded = torch.nn.functional.pad(
                inputs, (0, 0, 0, 50 - inputs.shape[1])
            )
            loudest = inputs.amax((1, 2), keepdim=True)
            padded[:, inputs.shape[1] :] = (loudest - 2.0).clamp(min=-1.5)
            inputs = padded.transpose(1, 2)
            model.config.max_source_positions = 25
            model.embed_positions = torch.nn.Embedding.from_pretrained(
                model.embed_positions.weight[:25]
            )
        return list(model(inputs, output_hidden_states=True).hidden_states)
