"""``modeling_petl.py``: a trained model for transformers, in one file.

With it, ``AutoModelForAudioClassification`` and ``pipeline`` load a travelling
folder without this package. It holds what the model uses, and nothing else.
"""

from petl_modules import __version__
from petl_modules.backbones import LAYOUTS
from petl_modules.backbones import layouts as layouts_module
from petl_modules.exports.one_file.module_names import Key, Library, Value
from petl_modules.exports.one_file.tree_shaking import Bundle
from petl_modules.inference.members import Ensemble
from petl_modules.inference.trained_model import CLASSIFICATION
from petl_modules.utils import ExportError

MODEL = "petl_modules.exports.one_file.modeling_petl"
BASE = "petl_modules.exports.one_file.modeling_petl_base"
INPUT = "petl_modules.exports.one_file.feature_extraction_petl"
LIBRARIES = ("numpy", "safetensors", "torch", "transformers")
# By features: the extractor in the file
EXTRACTORS = {
    "FilterBank": "PetlASTFeatures",
    "StackedFilterBank": "PetlStackedFeatures",
    "Waveform": "PetlWaveform",
    "WhisperLogMel": "PetlWhisperFeatures",
}
MODEL_CLASS = "PetlForAudioClassification"
NOTES_OF_PIPELINE = (
    "transformers runs modeling_petl.py: read that file before you trust it.",
    "pipeline reads files with ffmpeg, and arrays of another rate with "
    "torchaudio; petl_modules resamples with soxr. Scores of files at another "
    "rate than the model's differ by that, and so do those of files with "
    "several channels. Where torchaudio is not installed, transformers "
    "computes filter banks by NumPy.",
)
BACKBONES, MODELS = "petl_modules.backbones", "petl_modules.models"
LOADING = Key(f"{BACKBONES}.pretrained", "load_pretrained")
# What only training and checkpoints need
NEEDLESS = (
    Key(f"{BACKBONES}.pretrained", "refuse_to_save"),
    Key(f"{MODELS}.activation_checkpointing", "not_recomputed"),
    Key(f"{MODELS}.activation_checkpointing", "recomputations"),
    Key(f"{MODELS}.layer_states", "require_common_states"),
    Key(f"{MODELS}.norm_recompute", "norms_to_recompute"),
    Key(f"{MODELS}.norm_recompute", "recompute_norms"),
    Key(f"{MODELS}.tokens", "require_frames"),
)
HEADER = '''"""A model that was trained with petl_modules {version}, for transformers.

AutoModelForAudioClassification.from_pretrained(FOLDER, trust_remote_code=True)

Method: {method}. Encoder: {encoder}.
This file was generated: it is the part of petl_modules that the model uses,
under the Apache License, Version 2.0, which is at
https://www.apache.org/licenses/LICENSE-2.0
"""

'''


def modeling_file(trained):
    """Return the text of ``modeling_petl.py``.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.

    Returns
    -------
    str

    Raises
    ------
    ExportError
        If it is no classifier, averages the outputs of folds, or needs
        features or a library that transformers does not have.
    """
    if trained.task != CLASSIFICATION:
        raise ExportError(
            f"transformers has no automatic class for {trained.task}: open "
            "the folder with petl_modules"
        )
    if isinstance(trained.model, Ensemble):
        raise ExportError(
            "a file for transformers loads one set of weights, and this "
            "model has one for each fold. Export one fold or their average"
        )
    features = type(trained.features).__name__
    if features not in EXTRACTORS:
        raise ExportError(
            f"transformers has no features like {features}: open the folder "
            "with petl_modules"
        )
    names = sorted({*_class_names(trained.parts["model"])})
    classes = {name: _place(name) for name in names}
    kind = trained.model.encoder.backbone.sites.kind
    roots = [
        Key(MODEL, "PetlConfig"),
        Key(MODEL, MODEL_CLASS),
        Key(INPUT, EXTRACTORS[features]),
    ]
    bundle = Bundle(
        roots,
        replaced={
            **dict.fromkeys(_needless(trained), Key(BASE, "nothing")),
            LOADING: Key(BASE, "load_pretrained"),
        },
        values={
            Key(MODEL, "CLASSES"): _table("CLASSES", classes),
            Key(layouts_module.__name__, "LAYOUTS"): _layout(kind),
        },
        libraries=LIBRARIES,
    )
    header = HEADER.format(
        version=__version__,
        method=trained.about.get("method", "unknown"),
        encoder=kind,
    )
    return header + str(bundle)


def auto_map_of(trained):
    """Return, by automatic class of transformers, the class in the file."""
    features = type(trained.features).__name__
    return {
        "AutoConfig": "modeling_petl.PetlConfig",
        "AutoModelForAudioClassification": f"modeling_petl.{MODEL_CLASS}",
        "AutoFeatureExtractor": f"modeling_petl.{EXTRACTORS[features]}",
    }


def _needless(trained):
    """Return what is named on the way to the model, and not reached by it."""
    backbone, part = trained.model.encoder.backbone, trained.parts["model"]
    sites, config = backbone.sites, backbone.model.config
    methods = part["encoder"].get("methods", [])
    adapted, positions = "petl_modules.methods.adapted", "conv_positions"
    states = part["encoder"].get("hidden_states", "last")
    packed = part["encoder"].get("backbone_dtype") == "nf4"
    named = f"{MODELS}.LayerSum" in _class_names(states)
    summed = states == "weighted" or named
    group = getattr(config, "feat_extract_norm", None) == "group"
    split = any(site.exit for site in sites.layout.sites.values())
    stream = any(method.get("reads") == "stream" for method in methods)
    data2vec, wavlm = (
        config.model_type == kind for kind in ("data2vec-audio", "wavlm")
    )
    needed = {
        Key(adapted, "Entry"): split,
        Key(adapted, "Exit"): split,
        Key(adapted, "Tap"): stream,
        Key(f"{BACKBONES}.channel_norm", "MaskedChannelNorm"): group,
        Key(f"{BACKBONES}.{positions}", "MaskedLayer"): data2vec,
        Key(f"{BACKBONES}.{positions}", "without_weight_norm"): not data2vec,
        Key(f"{BACKBONES}.wavlm", "call_projections"): wavlm,
        Key(f"{MODELS}.layer_states", "LayerStates"): states != "last",
        Key(f"{MODELS}.layer_sum", "LayerSum"): summed,
        Key(f"{MODELS}.quantization", "quantize_linear"): packed,
    }
    return [*NEEDLESS, *(key for key in needed if not needed[key])]


def _class_names(data):
    """Yield the names of classes in plain data."""
    if isinstance(data, dict):
        yield from (data[key] for key in ("!new", "!name") if key in data)
        data = [*data.values()]
    if isinstance(data, list):
        for each in data:
            yield from _class_names(each)


def _place(name):
    """Return where a class of plain data is defined."""
    module, _, name = name.rpartition(".")
    return Library(module, name)


def _table(name, entries):
    """Return a constant: a dict from a class's dotted name to the class."""
    lines = [f'    "{key}": {place.name},\n' for key, place in entries.items()]
    uses = {place.name: place for place in entries.values()}
    return Value(f"{name} = {{\n{''.join(lines)}}}\n", uses)


def _layout(kind):
    """Return the table of layouts with that of one kind of encoder."""
    found = vars(layouts_module)
    name = next(k for k, value in found.items() if value is LAYOUTS[kind])
    uses = {name: Key(layouts_module.__name__, name)}
    return Value(f'LAYOUTS = {{"{kind}": {name}}}\n', uses)
