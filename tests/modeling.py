"""The model of an exported folder, by its ``modeling_petl.py``."""

import importlib.util
import sys

# By small encoder, its recipe file, if that is not wav2vec2.yaml
BASES = {
    "ast": "ast.yaml",
    "w2v-bert": "w2v_bert.yaml",
    "whisper": "whisper.yaml",
}


def load(folder, **options):
    """Return the model of an exported folder, by its ``modeling_petl.py``."""
    name = f"modeling_{abs(hash(folder))}"
    file = folder / "modeling_petl.py"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    made = module.PetlForAudioClassification
    return made.from_pretrained(str(folder), **options)
