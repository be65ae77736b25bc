"""Methods: where blocks go in a backbone, and how.

``petl_modules.methods.method.Method`` is the contract. Bias tuning (BitFit)
is the setting ``train_backbone: biases`` of the model.
"""

from petl_modules.methods.adapted import Adapted
from petl_modules.methods.adapted_layer import AdaptedLayer
from petl_modules.methods.insertion import Insert, Insertion
from petl_modules.methods.lora import LoRA
from petl_modules.methods.merging import merge_methods
from petl_modules.methods.method import Method
from petl_modules.methods.prefix_tuning import PrefixTuning
from petl_modules.methods.prompt_tuning import PromptTuning
from petl_modules.methods.scalers import IA3, SSF

__all__ = [
    "Adapted",
    "AdaptedLayer",
    "IA3",
    "Insert",
    "Insertion",
    "LoRA",
    "Method",
    "PrefixTuning",
    "PromptTuning",
    "SSF",
    "merge_methods",
]
