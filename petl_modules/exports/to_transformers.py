"""A plain checkpoint of transformers: its own classes, all weights merged.

On wav2vec 2.0 and its relatives ``...ForSequenceClassification``, whose
projector is the identity; on AST ``ASTForAudioClassification``.
"""

import torch
from transformers import AutoModelForAudioClassification

from petl_modules.exports.card import model_card
from petl_modules.exports.extractors import extractor_of, input_notes
from petl_modules.exports.fitting import require_fitting, require_same
from petl_modules.exports.library_classifier import (
    library_classifier,
    lora_sites,
)
from petl_modules.utils import write_text

USE = """\
```python
import soundfile
from transformers import pipeline

classify = pipeline("audio-classification", model="{name}")
samples, rate = soundfile.read("dog.wav", dtype="float32")
print(classify({{"array": samples, "sampling_rate": rate}}))
```"""


@torch.no_grad()
def write(trained, folder):
    """Write a trained model as a checkpoint of transformers.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        LoRA unmerged.
    folder : pathlib.Path
        A new, empty folder.

    Raises
    ------
    ExportError
        If no class of transformers computes what the model does.
    """
    require_fitting(trained)
    extractor = extractor_of(trained)
    model = library_classifier(trained)
    for path, blocks in lora_sites(trained).items():
        weight = model.base_model.get_submodule(path).weight
        for block in blocks:
            weight += block.delta().to(weight.device)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    saved = AutoModelForAudioClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    require_same(trained, lambda x: saved(x).logits, type(saved).__name__)
    use = USE.format(name=folder.name)
    write_text(
        folder / "README.md",
        model_card(trained, use, [*merge_notes(trained), *input_notes(trained)]),
    )


def merge_notes(trained):
    """Return what became of LoRA, as sentences."""
    if not trained.model.encoder.inserted:
        return []
    return ["LoRA is merged into the weights: the outputs are the same."]
