"""The input of a run as the feature extractors of transformers make it."""

from petl_modules.data import FilterBank, StackedFilterBank
from petl_modules.exports.library.fitting import OURS
from petl_modules.exports.preprocessor import preprocessor_config
from petl_modules.utils import ExportError

# Of the extractor in modeling_petl.py; the library's own read whole clips
OWN = ("longest", "shortest", "windows")


def extractor_config(trained):
    """Return ``preprocessor_config.json`` for the library's own class.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One that is a classifier of transformers.

    Returns
    -------
    dict

    Raises
    ------
    ExportError
        If the library's extractor makes other features.
    """
    features = trained.features
    config = preprocessor_config(features, trained.windows)
    always = type(features) is StackedFilterBank  # whatever its file says
    if config is None or (always and not features.normalize):
        raise ExportError(
            f"{trained.folder}: transformers has no feature extractor for "
            f"{type(features).__name__} with do_normalize "
            f"{getattr(features, 'normalize', None)}. {OURS}"
        )
    config = {k: v for k, v in config.items() if k not in OWN}
    if _has_group_norm(trained):  # which its class was trained without
        config["return_attention_mask"] = False
    return config


def _has_group_norm(trained):
    config = trained.model.encoder.backbone.model.config
    return getattr(config, "feat_extract_norm", "layer") == "group"


def input_notes(trained):
    """Return what the library does otherwise than the run, as sentences.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One of ``extractor_config``.

    Returns
    -------
    list of str
    """
    features, notes = trained.features, []
    cuts = type(features) is FilterBank  # to one length, in its extractor
    if features.longest is not None and not cuts:
        notes.append(
            "transformers reads the whole sound: cut longer ones to what was "
            f"used in training, `samples[:{features.longest}]`."
        )
    if trained.windows.test not in (1, "whole"):
        notes.append(
            f"The run averages the outputs for {trained.windows.test} windows "
            "of a recording, transformers reads one."
        )
    notes.append(
        f"Other rates than {features.sample_rate} Hz are resampled by "
        "torchaudio here, and were by soxr in training: the probabilities "
        "differ somewhat. The difference at that rate is below 1e-4."
    )
    if not cuts:
        notes.append(
            "Give one sound a call, or sounds of one length: transformers "
            "pads others, and an encoder with a group norm or with several "
            "convolutions as positions hears the padding."
            if _hears_padding(trained)
            else "Sounds of unequal length can share a batch: their padding "
            "is masked."
        )
    return notes


def _hears_padding(trained):
    kind = trained.model.encoder.backbone.settings["kind"]
    return _has_group_norm(trained) or kind == "data2vec-audio"
