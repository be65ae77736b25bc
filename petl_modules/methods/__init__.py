"""Methods: where blocks go in a backbone, and how.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.methods.insertion import Adapted, Insert, Insertion
from petl_modules.methods.lora import LoRA, merge
from petl_modules.methods.prefix_tuning import PrefixTuning
from petl_modules.methods.prompt_tuning import PromptTuning

__all__ = [
    "Adapted",
    "Insert",
    "Insertion",
    "LoRA",
    "PrefixTuning",
    "PromptTuning",
    "merge",
]
