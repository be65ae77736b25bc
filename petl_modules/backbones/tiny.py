"""Small random encoders in Hugging Face format, for trials and tests."""

from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from petl_modules.utils import build_folder, is_taken

NORMS = ("group", "layer")


def save_encoder(model, folder):
    """Save an encoder, and how its input is made, as published for its kind.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        The encoder.
    folder : pathlib.Path
        A new folder.
    """
    model.save_pretrained(folder)
    spectrograms = isinstance(model.config, ASTConfig)
    made_by = ASTFeatureExtractor if spectrograms else Wav2Vec2FeatureExtractor
    made_by().save_pretrained(folder)


def write_random(folder, model_class, config, seed):
    """Write a randomly initialised encoder to a new folder, atomically.

    Positions, tokens and biases, which libraries initialise with zeros, are
    random too, so that tests see them.

    Arguments
    ---------
    folder : str or pathlib.Path
        A new folder.
    model_class : type
        The Hugging Face class.
    config : transformers.PretrainedConfig
        Its configuration.
    seed : int
        Seed of the weights.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    """
    folder = Path(folder)
    if is_taken(folder):
        raise FileExistsError(
            f"{folder} is there already and not empty: name a new folder"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        for name, weight in model.named_parameters():
            norm_weight = name.endswith("weight") and weight.dim() == 1
            # Convolutions in a row need gain for the signal to come through
            conv = name.endswith("weight") and weight.dim() == 3
            std = weight[0].numel() ** -0.5 if conv else 0.05
            nn.init.normal_(weight, mean=float(norm_weight), std=std)
    build_folder(folder, partial(save_encoder, model))


def write_tiny_ast(folder, seed=0):
    """Write a small random AST (see ``write_random``).

    Its position grid is that of 1024 frames, as the original's.

    Arguments
    ---------
    folder : str or pathlib.Path
        A new folder.
    seed : int
        Seed of the weights.
    """
    config = ASTConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        frequency_stride=16,
        time_stride=16,
    )
    write_random(folder, ASTModel, config, seed)


def write_tiny_wav2vec2(folder, seed=0, norm="group"):
    """Write a small random wav2vec 2.0 (see ``write_random``).

    Frames are 20 ms apart, as the original's.

    Arguments
    ---------
    folder : str or pathlib.Path
        A new folder.
    seed : int
        Seed of the weights.
    norm : str
        ``group``: as base and base-960h. ``layer``: as the large models that
        normalise in front of the sublayers and take an attention mask.
    """
    config = Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        conv_dim=(32, 32, 32, 32),
        conv_kernel=(10, 4, 4, 4),
        conv_stride=(5, 4, 4, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm=norm,
        conv_bias=norm == "layer",
        do_stable_layer_norm=norm == "layer",
    )
    write_random(folder, Wav2Vec2Model, config, seed)
