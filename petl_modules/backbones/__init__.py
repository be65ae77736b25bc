"""Frozen encoders, and where things are in them.

A backbone has ``model`` (the encoder), ``sites`` (where things are in it),
``settings`` (what a checkpoint has to fit) and ``valid`` (which tokens are
real). A clip's output does not depend on the others of its batch.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.backbones.ast import AST, fit_positions
from petl_modules.backbones.layouts import LAYOUTS, Layout
from petl_modules.backbones.masks import in_samples, mask
from petl_modules.backbones.pretrained import fingerprint, load_encoder
from petl_modules.backbones.sites import Sites
from petl_modules.backbones.tiny import (
    NORMS,
    write_tiny_ast,
    write_tiny_wav2vec2,
)
from petl_modules.backbones.wav2vec2 import ChannelNorm, Wav2Vec2

__all__ = [
    "AST",
    "ChannelNorm",
    "LAYOUTS",
    "Layout",
    "NORMS",
    "Sites",
    "Wav2Vec2",
    "fingerprint",
    "fit_positions",
    "in_samples",
    "load_encoder",
    "mask",
    "write_tiny_ast",
    "write_tiny_wav2vec2",
]
