"""A tuned model: a frozen encoder with methods in it, a pooling and a head."""

from petl_modules.models.arithmetic import Combined, combine
from petl_modules.models.attentive_pooling import (
    AttentionPooling,
    AttentiveStatistics,
)
from petl_modules.models.freezing import freeze, store_frozen
from petl_modules.models.heads import LinearHead
from petl_modules.models.ladder import Ladder
from petl_modules.models.layer_states import layer_means
from petl_modules.models.layer_sum import LayerSum
from petl_modules.models.low_rank_sums import low_rank_of
from petl_modules.models.old_names import is_old_recipe, upgrade_recipe
from petl_modules.models.parts import PARTS, trained_parts
from petl_modules.models.pooling import MeanPooling, MeanStdPooling
from petl_modules.models.probe import Probe
from petl_modules.models.prototype_pooling import PrototypePooling
from petl_modules.models.recurrent_head import RecurrentHead
from petl_modules.models.scratch_encoder import ScratchEncoder
from petl_modules.models.trained_weights import (
    load_trained,
    save_trained,
    trained_state,
    trained_tensors,
    weights_sha256,
)
from petl_modules.models.tuned_encoder import TunedEncoder
from petl_modules.models.tuned_model import TunedModel
from petl_modules.models.upper_layers import UpperLayers
from petl_modules.models.weights_file import WEIGHTS, read_trained

__all__ = [
    "AttentionPooling",
    "AttentiveStatistics",
    "Combined",
    "Ladder",
    "LayerSum",
    "LinearHead",
    "MeanPooling",
    "MeanStdPooling",
    "PARTS",
    "Probe",
    "PrototypePooling",
    "RecurrentHead",
    "ScratchEncoder",
    "TunedEncoder",
    "TunedModel",
    "UpperLayers",
    "WEIGHTS",
    "combine",
    "freeze",
    "is_old_recipe",
    "layer_means",
    "load_trained",
    "low_rank_of",
    "read_trained",
    "save_trained",
    "store_frozen",
    "trained_parts",
    "trained_state",
    "trained_tensors",
    "upgrade_recipe",
    "weights_sha256",
]
