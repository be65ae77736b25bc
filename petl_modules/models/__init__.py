"""A backbone with methods in it, pooled, with a head.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.models.freezing import freeze, store_frozen
from petl_modules.models.trained_weights import (
    WEIGHTS,
    load_trained,
    read_trained,
    save_trained,
    trained_state,
    versions,
    weights_sha256,
)
from petl_modules.models.tuned_model import TunedModel

__all__ = [
    "TunedModel",
    "WEIGHTS",
    "freeze",
    "load_trained",
    "read_trained",
    "save_trained",
    "store_frozen",
    "trained_state",
    "versions",
    "weights_sha256",
]
