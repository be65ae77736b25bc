"""Frozen encoders, and the sites (target modules) in them.

A backbone has ``model`` (the encoder), ``sites`` (its target modules),
``settings`` (what a checkpoint has to fit), ``context`` (mask and lengths of
the current batch) and ``mask()`` (which tokens are real). A clip's output does
not depend on the others of its batch.
"""

from petl_modules.backbones.ast import AST, fit_positions
from petl_modules.backbones.layouts import LAYOUTS, Layout, Site
from petl_modules.backbones.masks import in_samples, mask_of_lengths
from petl_modules.backbones.pretrained import fingerprint, load_pretrained
from petl_modules.backbones.sites import LayerSite, Sites
from petl_modules.backbones.tiny import (
    NORMS,
    write_tiny_ast,
    write_tiny_wav2vec2,
)
from petl_modules.backbones.wav2vec2 import MaskedChannelNorm, Wav2Vec2

__all__ = [
    "AST",
    "LAYOUTS",
    "LayerSite",
    "Layout",
    "MaskedChannelNorm",
    "NORMS",
    "Site",
    "Sites",
    "Wav2Vec2",
    "fingerprint",
    "fit_positions",
    "in_samples",
    "load_pretrained",
    "mask_of_lengths",
    "write_tiny_ast",
    "write_tiny_wav2vec2",
]
