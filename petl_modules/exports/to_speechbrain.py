"""A folder that SpeechBrain's ``EncoderClassifier.from_hparams`` opens.

Every method and encoder, at the price that petl_modules is installed: the
folder's ``hyperparams.yaml`` names its classes.
"""

import tempfile

import torch
from speechbrain.inference.classifiers import EncoderClassifier

from petl_modules.data.audio import Clip
from petl_modules.exports.cards import loaded_as, model_card
from petl_modules.exports.library import (
    noise_of,
    require_classifier,
    require_same,
)
from petl_modules.exports.tagged import tagged
from petl_modules.models import save_trained
from petl_modules.runs.yaml_text import dump_yaml
from petl_modules.utils import write_text

RECIPE = """\
# For speechbrain.inference.classifiers.EncoderClassifier.from_hparams, with
# petl_modules installed. SpeechBrain makes whatever a file like this one names,
# and so can run any code: open only what you trust.

{parts}
audio_normalizer: !new:petl_modules.inference.encoder_classifier.OneChannel
    sample_rate: {rate}
label_encoder: !apply:petl_modules.inference.encoder_classifier.label_encoder
    - !ref <model[must_match][labels]>

# The features need the length of each clip: the embedding makes them
modules:
    compute_features: !new:torch.nn.Identity
    mean_var_norm: !new:petl_modules.inference.encoder_classifier.Unnormalised
    embedding_model: !new:petl_modules.inference.encoder_classifier.ClipEmbedding
        model: !ref <model>
        features: !ref <features>
        windows: !ref <windows>
    classifier: !new:petl_modules.inference.encoder_classifier.ClipClassifier
        model: !ref <model>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        model: !ref <model>
    custom_hooks:
        model: !name:petl_modules.models.load_trained
"""
USE = """\
```python
from speechbrain.inference.classifiers import EncoderClassifier

classifier = EncoderClassifier.from_hparams(
    source={name}, savedir="pretrained_models/{folder}"
)
log_probabilities, best, index, label = classifier.classify_file("dog.wav")
print(label)
```"""
NOTES = (
    "petl_modules must be installed beside SpeechBrain: `hyperparams.yaml` "
    "names its classes.",
    "SpeechBrain makes whatever `hyperparams.yaml` names, and so can run any "
    "code: open only folders that you trust. The format `petl` runs none.",
    "The base is loaded from the `source` of `backbone` in `hyperparams.yaml`; "
    "`overrides` of `from_hparams` gives another place, and another encoder is "
    "refused.",
    "`classify_batch` takes samples at the model's rate, with relative lengths "
    "if they are padded.",
)


def write(trained, folder):
    """Write a trained classifier for SpeechBrain.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        LoRA unmerged.
    folder : pathlib.Path
        A new, empty folder.

    Raises
    ------
    ExportError
        If it is no classifier of clips.
    """
    require_classifier(trained)
    parts = {
        key: tagged(trained.parts[key], trained.base)
        for key in ("features", "windows", "model")
    }
    text = RECIPE.format(
        parts=dump_yaml(parts), rate=trained.features.sample_rate
    )
    write_text(folder / "hyperparams.yaml", text)
    save_trained(trained.model, folder / "model.ckpt")
    use = USE.format(name=loaded_as(trained, folder), folder=folder.name)
    card = model_card(trained, use, NOTES, "speechbrain")
    write_text(folder / "README.md", card)
    _verify(trained, folder)


def _verify(trained, folder):
    """Refuse a folder that SpeechBrain opens as another model."""
    moved = trained.backbone != trained.base  # known elsewhere to others
    backbone = {"backbone": {"source": str(trained.backbone)}}
    with tempfile.TemporaryDirectory() as scratch:
        opened = EncoderClassifier.from_hparams(
            source=str(folder),
            savedir=scratch,
            overrides={"model": {"encoder": backbone}} if moved else {},
            run_opts={"device": "cpu"},
        )
    noise = noise_of(trained, clips=1)
    batch = trained.features_of(Clip(noise[0], []))
    with torch.no_grad():
        wanted = trained.windows.average(trained.model, batch).log_softmax(-1)
        found = opened.classify_batch(noise)[0]
    require_same(trained, found, wanted, "EncoderClassifier")
