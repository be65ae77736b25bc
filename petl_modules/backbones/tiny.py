"""Small random encoders in Hugging Face format, for trials and tests."""

from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    UniSpeechConfig,
    UniSpeechModel,
    UniSpeechSatConfig,
    UniSpeechSatModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from petl_modules.backbones.layouts import OF_TWO_NORMS
from petl_modules.utils import build_folder, is_taken

NORMS = ("group", "layer")
LAYERS = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
WAVES = {
    **LAYERS,
    "conv_dim": (32, 32, 32, 32),
    "conv_kernel": (10, 4, 4, 4),
    "conv_stride": (5, 4, 4, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
# By name: classes of the library, and sizes
SMALL = {
    "ast": (
        ASTModel,
        ASTConfig,
        {**LAYERS, "frequency_stride": 16, "time_stride": 16},
    ),
    "data2vec-audio": (
        Data2VecAudioModel,
        Data2VecAudioConfig,
        {**WAVES, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    ),
    "hubert": (HubertModel, HubertConfig, WAVES),
    "unispeech": (UniSpeechModel, UniSpeechConfig, WAVES),
    "unispeech-sat": (UniSpeechSatModel, UniSpeechSatConfig, WAVES),
    "w2v-bert": (
        Wav2Vec2BertModel,
        Wav2Vec2BertConfig,
        {**LAYERS, "conv_depthwise_kernel_size": 7},
    ),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config, WAVES),
    "wavlm": (WavLMModel, WavLMConfig, WAVES),
    "whisper": (
        WhisperForConditionalGeneration,
        WhisperConfig,
        {
            "d_model": 128,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 256,
            "decoder_layers": 1,
            "decoder_attention_heads": 4,
            "decoder_ffn_dim": 32,
            "vocab_size": 8,
            "max_target_positions": 8,
            **dict.fromkeys(("pad_token_id", "bos_token_id"), 0),
            **dict.fromkeys(("eos_token_id", "decoder_start_token_id"), 1),
            **dict.fromkeys(("suppress_tokens", "begin_suppress_tokens")),
        },
    ),
}
EXTRACTORS = {
    ASTConfig: ASTFeatureExtractor,
    Wav2Vec2BertConfig: SeamlessM4TFeatureExtractor,
    WhisperConfig: WhisperFeatureExtractor,
}


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
    made_by = EXTRACTORS.get(type(model.config), Wav2Vec2FeatureExtractor)
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


def write_tiny(kind, folder, seed=0, norm="group"):
    """Write a small random encoder of a kind (see ``write_random``).

    AST's position grid is that of 1024 frames, and Whisper's positions are
    those of 30 s, as the originals'. Frames of the others are 20 ms apart.

    Arguments
    ---------
    kind : str
        A key of ``SMALL``.
    folder : str or pathlib.Path
        A new folder.
    seed : int
        Seed of the weights.
    norm : str
        Of encoders that read waveforms: ``group``, as base models; ``layer``,
        as the large models that normalise in front of the sublayers and take
        an attention mask. data2vec-audio has ``layer`` norms alone, behind the
        sublayers; other kinds have no choice either.
    """
    model_class, config_class, sizes = SMALL[kind]
    if kind in OF_TWO_NORMS:
        before = norm == "layer"
        sizes = {
            **sizes,
            "feat_extract_norm": norm,
            "conv_bias": before,
            "do_stable_layer_norm": before,
        }
    write_random(folder, model_class, config_class(**sizes), seed)


write_tiny_ast = partial(write_tiny, "ast")
write_tiny_data2vec_audio = partial(write_tiny, "data2vec-audio")
write_tiny_hubert = partial(write_tiny, "hubert")
write_tiny_unispeech = partial(write_tiny, "unispeech")
write_tiny_unispeech_sat = partial(write_tiny, "unispeech-sat")
write_tiny_w2v_bert = partial(write_tiny, "w2v-bert")
write_tiny_wav2vec2 = partial(write_tiny, "wav2vec2")
write_tiny_wavlm = partial(write_tiny, "wavlm")
write_tiny_whisper = partial(write_tiny, "whisper")
