"""Methods: where blocks go in a backbone, and how.

``petl_modules.methods.method.Method`` is the contract. Bias tuning (BitFit)
is the setting ``train_backbone: biases`` of the model.
"""

from petl_modules.methods.adapted import Adapted
from petl_modules.methods.insertion import Insert, Insertion
from petl_modules.methods.lora import LoRA, merge_lora
from petl_modules.methods.method import Method
from petl_modules.methods.prefix_tuning import PrefixTuning
from petl_modules.methods.prompt_tuning import PromptTuning

__all__ = [
    "Adapted",
    "Insert",
    "Insertion",
    "LoRA",
    "Method",
    "PrefixTuning",
    "PromptTuning",
    "merge_lora",
]
