"""Models as classes of transformers and adapters of peft, and back."""

from petl_modules.exports.library.fitting import (
    KINDS,
    noise_of,
    require_classifier,
    require_fitting,
    require_same,
    sample_input,
)
from petl_modules.exports.library.from_library import (
    Names,
    head_state,
    parts_of_library,
)
from petl_modules.exports.library.from_peft import lora_methods, read_adapter
from petl_modules.exports.library.library_classifier import (
    library_classifier,
    lora_sites,
)
from petl_modules.exports.library.library_input import (
    extractor_config,
    input_notes,
)
from petl_modules.exports.library.peft_config import (
    lora_of,
    lora_options,
    require_peft,
)

__all__ = [
    "KINDS",
    "Names",
    "extractor_config",
    "head_state",
    "input_notes",
    "library_classifier",
    "lora_methods",
    "lora_of",
    "lora_options",
    "lora_sites",
    "noise_of",
    "parts_of_library",
    "read_adapter",
    "require_classifier",
    "require_fitting",
    "require_peft",
    "require_same",
    "sample_input",
]
