"""An adapter of peft: LoRA, biases, norms and the head, under its names.

The base is the published checkpoint, on which peft's loaders put it.
"""

import json

import torch
from transformers import AutoConfig, AutoModelForAudioClassification

from petl_modules.backbones import find_checkpoint
from petl_modules.blocks import DoRA
from petl_modules.exports.cards import base_of, loaded_as, model_card
from petl_modules.exports.library import (
    extractor_config,
    input_notes,
    library_classifier,
    lora_of,
    lora_options,
    lora_sites,
    require_fitting,
    require_peft,
    require_same,
    sample_input,
)
from petl_modules.exports.quiet import quiet
from petl_modules.utils import ExportError, write_json, write_text

try:
    from peft import LoraConfig, PeftModel, get_peft_model
except ImportError as error:
    raise ExportError(
        f"--format peft needs peft, which cannot be imported ({error}): "
        "in the checkout, python -m pip install '.[export]'"
    ) from error

USE = """\
```python
import soundfile
from peft import PeftModel
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    pipeline,
)

extractor = AutoFeatureExtractor.from_pretrained({name})
labels = extractor.labels
base = AutoModelForAudioClassification.from_pretrained(
    {base},
    id2label=dict(enumerate(labels)),
    label2id={{label: index for index, label in enumerate(labels)}},
    ignore_mismatched_sizes=True,  # the adapter brings its own head{options}
)
model = PeftModel.from_pretrained(base, {name}).merge_and_unload()
classify = pipeline(
    "audio-classification", model=model, feature_extractor=extractor
)
samples, rate = soundfile.read("dog.wav", dtype="float32")
print(classify({{"array": samples, "sampling_rate": rate}}))
```"""


@quiet()
@torch.no_grad()
def write(trained, folder):
    """Write a trained model as an adapter of peft.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        LoRA unmerged.
    folder : pathlib.Path
        A new, empty folder.

    Raises
    ------
    ExportError
        If peft has no adapter that is the same model.
    """
    require_fitting(trained)
    checkpoint = find_checkpoint(trained.backbone)
    published = AutoConfig.from_pretrained(checkpoint.folder)
    blocks = lora_sites(trained)
    require_peft(trained, blocks, published)
    inputs = extractor_config(trained)
    whole = library_classifier(trained)
    options = _options(whole.config, published)
    named = base_of(trained)
    config = LoraConfig(
        base_model_name_or_path=named.name,
        revision=named.revision,
        **lora_options(trained, blocks, whole),
    )
    model = get_peft_model(whole, config)
    encoder = whole.base_model
    for path, (block,) in blocks.items():
        layer = encoder.get_submodule(path)
        a, b, _ = lora_of(block)
        layer.lora_A["default"].weight.copy_(a)
        layer.lora_B["default"].weight.copy_(b)
        if isinstance(block, DoRA):
            length = layer.lora_magnitude_vector["default"].weight
            length += block.magnitude.to(length.device)
    model.save_pretrained(folder)
    inputs["labels"] = [str(label) for label in trained.labels]
    write_json(folder / "preprocessor_config.json", inputs)
    base = AutoModelForAudioClassification.from_pretrained(
        checkpoint.folder,
        num_labels=len(trained.labels),
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
        **options,
    )
    loaded = PeftModel.from_pretrained(base, folder).eval()
    batch = sample_input(trained)
    found, wanted = loaded(batch).logits, trained.model(batch)
    require_same(trained, found, wanted, "the adapter")
    name = loaded_as(trained, folder)
    if named.revision:
        options = {"revision": named.revision, **options}
    lines = [f"\n    {key}={value!r}," for key, value in options.items()]
    use = USE.format(
        name=name, base=json.dumps(named.name), options="".join(lines)
    )
    notes = [_other_loader(published, name), *input_notes(trained)]
    write_text(folder / "README.md", model_card(trained, use, notes, "peft"))


def _options(config, published):
    """Return what of the base's configuration has to be changed on loading."""
    keys = ("classifier_proj_size", "add_adapter", "use_weighted_layer_sum")
    options = {
        key: getattr(config, key)
        for key in keys
        if getattr(config, key, None) != getattr(published, key, None)
    }
    if published.problem_type is not None:
        options["problem_type"] = config.problem_type
    return options


def _other_loader(published, name):
    """Return which other loader takes the adapter, or does not."""
    if published.model_type == "wav2vec2":
        return (
            "Load it by `PeftModel`: the `load_adapter` of this class is for "
            "the adapters of MMS, and takes no other."
        )
    return (
        f"`AutoModelForAudioClassification.from_pretrained({name}, ...)`, "
        "with the same arguments behind the name, loads base and adapter."
    )
