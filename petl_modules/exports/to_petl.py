"""One folder that travels: plain data, the trained weights and a model card.

``petl_modules.AudioClassifier``, ``Verifier`` and ``Transcriber`` open it, see
``petl_modules.inference.travelling``.
"""

import torch

from petl_modules.exports.cards import base_of, loaded_as, model_card
from petl_modules.exports.library import sample_input
from petl_modules.exports.one_file import (
    NOTES_OF_PIPELINE,
    auto_map_of,
    modeling_file,
)
from petl_modules.exports.preprocessor import preprocessor_config
from petl_modules.inference.members import Ensemble, set_state
from petl_modules.inference.trained_model import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
    TrainedModel,
)
from petl_modules.inference.travelling_config import (
    CONFIG,
    FORMAT,
    KIND,
    seal_of,
)
from petl_modules.models import WEIGHTS, save_trained
from petl_modules.utils import ExportError, write_json, write_text

MODELING = "modeling_petl.py"
USES = {
    CLASSIFICATION: (
        "from petl_modules import AudioClassifier\n"
        "classifier = AudioClassifier.from_pretrained({name})\n"
        'print(classifier("sound.wav"))'
    ),
    VERIFICATION: (
        "from petl_modules import Verifier\n"
        "verifier = Verifier({name})\n"
        'print(verifier("one.wav", "other.wav"))  # score, same speaker'
    ),
    RECOGNITION: (
        "from petl_modules import Transcriber\n"
        "transcriber = Transcriber({name})\n"
        'print(transcriber("speech.wav"))'
    ),
}
ALONE = """

With transformers alone, which runs the folder's `modeling_petl.py`:

```python
import soundfile
from transformers import pipeline

classify = pipeline(
    "audio-classification", model={name}, trust_remote_code=True
)
samples, rate = soundfile.read("sound.wav", dtype="float32")
print(classify({{"array": samples, "sampling_rate": rate}}))
```"""
NOTES = (
    "This folder is JSON and safetensors: petl_modules runs no code of it, and "
    "neither YAML nor a pickle is read.",
    "It holds what was trained. The base is loaded from where it was "
    "published, or from a place given as `backbone`, and is refused if its "
    "weights are not those of the training.",
)


def write(trained, folder):
    """Write the travelling folder of a trained model.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model, LoRA not merged.
    folder : pathlib.Path
        A folder that is there and empty.

    Raises
    ------
    ExportError
        If a part of the model has no form as plain data, or the folder does
        not give the same model again.
    """
    config = build_config(trained)
    _write_weights(trained, folder)
    notes, name = [*NOTES], loaded_as(trained, folder)
    use = f"```python\n{USES[trained.task].format(name=name)}\n```"
    content = preprocessor_config(trained.features, trained.windows)
    try:
        text, auto_map = modeling_file(trained), auto_map_of(trained)
        write_text(folder / MODELING, text)
        extractor = auto_map.pop("AutoFeatureExtractor")
        content["auto_map"] = {"AutoFeatureExtractor": extractor}
        config["architectures"] = ["PetlForAudioClassification"]
        config["auto_map"] = auto_map
        notes += NOTES_OF_PIPELINE
        use += ALONE.format(name=name)
    except ExportError as error:
        notes.append(f"It cannot be opened without petl_modules: {error}.")
    if content is not None:
        write_json(folder / "preprocessor_config.json", content)
    write_json(folder / CONFIG, config)
    write_text(folder / "README.md", model_card(trained, use, notes))
    _verify(trained, folder)


def build_config(trained):
    """Return the content of ``config.json``.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.

    Returns
    -------
    dict

    Raises
    ------
    ExportError
        See ``petl_modules.inference.facts.parts_of``.
    """
    base, labels = base_of(trained), [str(x) for x in trained.labels]
    encoder = trained.model.settings()["encoder"]["backbone"]
    config = {
        "model_type": KIND,
        "format": FORMAT,
        "task": trained.task,
        "base_model": base.name,
        "base_revision": base.revision,
        "base_weights": encoder.get("weights"),
        "base_license": base.licence,
        "weights_sha256": trained.weights_sha256,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "sampling_rate": trained.features.sample_rate,
        "parts": trained.parts,
        "about": {**trained.about, **trained.model.count_parameters()},
    }
    if trained.task == VERIFICATION:
        config["scoring"] = str(trained.settings["scoring"])
        config["threshold"] = trained.threshold
    if trained.task == RECOGNITION:
        config["decoder"] = str(trained.settings["decoder"])
    if isinstance(trained.model, Ensemble):
        digests = trained.model.digests
        names = map("{}.safetensors".format, trained.members)
        config["members"] = dict(zip(names, digests))
    return {**config, "config_sha256": seal_of(config)}


def _write_weights(trained, folder):
    """Write the trained weights: a file, or one for each fold."""
    if not isinstance(trained.model, Ensemble):
        save_trained(trained.model, folder / WEIGHTS)
        return
    model = trained.model.model
    for name, state in zip(trained.members, trained.model.states):
        set_state(model, state)
        save_trained(model, folder / f"{name}.safetensors")


def _verify(trained, folder):
    """Refuse a folder that is not opened as the same model."""
    source = trained.backbone  # its base may only be known elsewhere
    again = TrainedModel(folder, trained.device, source, merge=False)
    outputs = []
    for one in (trained, again):
        batch = sample_input(one, clips=1).to(one.device)
        with torch.inference_mode():
            made = one.model(batch)
        outputs.append(made[0] if isinstance(made, tuple) else made)
    if not torch.equal(*outputs):
        difference = (outputs[0] - outputs[1]).abs().max()
        raise ExportError(
            f"the folder that was written gives other outputs than "
            f"{trained.folder}, by up to {difference:.3g}. Please report this"
        )
