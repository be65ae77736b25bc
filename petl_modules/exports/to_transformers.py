"""A plain checkpoint of transformers: its own classes, all weights merged.

On wav2vec 2.0 and its relatives ``...ForSequenceClassification``, whose
projector is the identity; on AST ``ASTForAudioClassification``.
"""

import torch
from transformers import AutoModelForAudioClassification

from petl_modules.exports.cards import loaded_as, model_card
from petl_modules.exports.library import (
    extractor_config,
    input_notes,
    library_classifier,
    lora_sites,
    require_fitting,
    require_same,
    sample_input,
)
from petl_modules.utils import write_json, write_text

USE = """\
```python
import soundfile
from transformers import pipeline

classify = pipeline("audio-classification", model={name})
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
    inputs = extractor_config(trained)
    model = library_classifier(trained)
    for path, blocks in lora_sites(trained).items():
        _merge(model.base_model.get_submodule(path), blocks)
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", inputs)
    saved = AutoModelForAudioClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    batch = sample_input(trained)
    found, wanted = saved(batch).logits, trained.model(batch)
    require_same(trained, found, wanted, type(saved).__name__)
    use = USE.format(name=loaded_as(trained, folder))
    notes = ["Blocks, if there were any, are merged into the weights."]
    card = model_card(
        trained, use, [*notes, *input_notes(trained)], "transformers"
    )
    write_text(folder / "README.md", card)


def _merge(layer, blocks):
    """Put blocks into weight and bias of a layer."""
    for block in blocks:
        device = next(block.parameters()).device
        bias = None if layer.bias is None else layer.bias.to(device)
        weight, bias = block.merge(layer.weight.to(device), bias)
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
