"""Frozen encoders, and the sites (target modules) in them.

A backbone has ``model`` (the encoder), ``sites`` (its target modules),
``settings`` (what a checkpoint has to fit), ``context`` (mask and lengths of
the current batch) and ``mask()`` (which tokens are real). A clip's output does
not depend on the others of its batch.
"""

from petl_modules.backbones.ast import AST, fit_positions
from petl_modules.backbones.channel_norm import MaskedChannelNorm
from petl_modules.backbones.checkpoint import (
    Checkpoint,
    checkpoint_name,
    find_checkpoint,
    is_path,
)
from petl_modules.backbones.hub import fetch_file, find_commit
from petl_modules.backbones.layouts import LAYOUTS, Layout, Site
from petl_modules.backbones.masks import in_samples, mask_of_lengths
from petl_modules.backbones.preprocessor import (
    INPUT_KEYS,
    InputFacts,
    check_fact,
    input_facts,
)
from petl_modules.backbones.pretrained import (
    ENCODER_ALONE,
    fingerprint,
    load_pretrained,
    refuse_to_save,
)
from petl_modules.backbones.sites import LayerSite, Sites
from petl_modules.backbones.stages import (
    Stage,
    outputs_given,
    run_until,
    stages,
)
from petl_modules.backbones.tiny import (
    NORMS,
    save_encoder,
    write_tiny,
    write_tiny_ast,
    write_tiny_data2vec_audio,
    write_tiny_hubert,
    write_tiny_unispeech,
    write_tiny_unispeech_sat,
    write_tiny_w2v_bert,
    write_tiny_wav2vec2,
    write_tiny_wavlm,
    write_tiny_whisper,
)
from petl_modules.backbones.tuned import refuse_tuned
from petl_modules.backbones.upper_layers import (
    lowest_trained,
    run_layers,
    states_entering,
)
from petl_modules.backbones.w2v_bert import W2vBert
from petl_modules.backbones.wav2vec2 import Wav2Vec2
from petl_modules.backbones.whisper import Whisper

__all__ = [
    "AST",
    "Checkpoint",
    "ENCODER_ALONE",
    "INPUT_KEYS",
    "InputFacts",
    "LAYOUTS",
    "LayerSite",
    "Layout",
    "MaskedChannelNorm",
    "NORMS",
    "Site",
    "Sites",
    "Stage",
    "W2vBert",
    "Wav2Vec2",
    "Whisper",
    "check_fact",
    "checkpoint_name",
    "fetch_file",
    "find_checkpoint",
    "find_commit",
    "fingerprint",
    "fit_positions",
    "in_samples",
    "input_facts",
    "is_path",
    "load_pretrained",
    "lowest_trained",
    "mask_of_lengths",
    "outputs_given",
    "refuse_to_save",
    "refuse_tuned",
    "run_layers",
    "run_until",
    "save_encoder",
    "stages",
    "states_entering",
    "write_tiny",
    "write_tiny_ast",
    "write_tiny_data2vec_audio",
    "write_tiny_hubert",
    "write_tiny_unispeech",
    "write_tiny_unispeech_sat",
    "write_tiny_w2v_bert",
    "write_tiny_wav2vec2",
    "write_tiny_wavlm",
    "write_tiny_whisper",
]
