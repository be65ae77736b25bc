"""Parts of a model as plain data, and back: no text that can run code.

``!new:x.Y {a: 1}`` of a recipe file is ``{"!new": "x.Y", "a": 1}``, ``!name:``
is ``{"!name": "x.Y", ...}``; arguments without names are a list ``"!args"``.
Objects are made of the classes in ``CLASSES`` alone.
"""

import math
from functools import partial

import speechbrain.lobes.models.ECAPA_TDNN
from torch import nn

from petl_modules import (
    backbones,
    blocks,
    data,
    methods,
    models,
    recognition,
    speaker_models,
)
from petl_modules.utils import ExportError, HparamsError, brief, naming

DEEPEST = 30  # levels of nesting
MOST = 200_000  # values
# No number of a model is larger: sizes would fill the memory
LARGEST = 1 << 16
# Others, by key; ``test`` is how many windows of a clip are averaged
LIMITS = {"sample_rate": 1 << 20, "seed": 1 << 53, "test": 1 << 10}
NEW, NAME, ARGS = "!new", "!name", "!args"
BACKBONES = ("AST", "W2vBert", "Wav2Vec2", "Whisper")
ROOMS = {
    backbones: BACKBONES,
    blocks: (
        *("AdapterBias", "Bottleneck", "Conformer", "ConvPass", "DenseMoA"),
        *("DoRA", "GCLoRA", "HiRA", "LayerAdapter", "LowRank", "MambAdapter"),
        *("PiSSA", "SoftMoA"),
    ),
    data: (
        *("FilterBank", "LogMel", "StackedFilterBank", "Waveform"),
        *("WhisperLogMel", "Windows"),
    ),
    methods: ("IA3", "Insert", "LoRA", "PrefixTuning", "PromptTuning", "SSF"),
    models: (
        *("AttentionPooling", "AttentiveStatistics", "Ladder", "LayerSum"),
        *("LinearHead", "MeanPooling", "MeanStdPooling", "PrototypePooling"),
        *("RecurrentHead", "ScratchEncoder", "TunedEncoder", "TunedModel"),
    ),
    recognition: ("Units",),
    speaker_models: ("EcapaPartition", "ResNetPartition"),
    nn: ("Linear",),
    speechbrain.lobes.models.ECAPA_TDNN: ("Classifier",),
}
# By name: every class that an object of plain data can be of
CLASSES = {
    f"{room.__name__.replace('.modules', '')}.{name}": getattr(room, name)
    for room, names in ROOMS.items()
    for name in names
}
FEATURES = tuple(
    getattr(data, name) for name in ROOMS[data] if name != "Windows"
)
# Their ``source`` is no part of the data: see ``from_plain``
FROZEN = {f"{backbones.__name__}.{name}" for name in BACKBONES}


def to_plain(node, place):
    """Return a part of a recipe file as plain data.

    Arguments
    ---------
    node : object
        A value of ``petl_modules.runs.RecipeFile.settings``.
    place : str
        Its key, for the error message.

    Returns
    -------
    object
        Made of dicts, lists, texts, numbers and None. ``!apply:len`` is its
        value; the ``source`` of a backbone is left out.

    Raises
    ------
    ExportError
        If there is a tag or class for which there is no plain data.

    Example
    -------
    >>> from petl_modules.runs import RecipeFile
    >>> text = "{n: !name:torch.nn.Linear {out_features: !apply:len [[a, b]]}}"
    >>> to_plain(RecipeFile.parse(text).settings["n"], "n")
    {'!name': 'torch.nn.Linear', 'out_features': 2}
    """
    tag = getattr(getattr(node, "tag", None), "value", None) or ""
    kind, _, name = tag.partition(":")
    if tag == "!apply:len":
        return len(node[0])
    if kind in (NEW, NAME):
        if name not in CLASSES:
            raise ExportError(
                f"{place}: {name} is none of the classes that plain data can "
                f"name, which are: {', '.join(CLASSES)}. The run's own folder "
                "can be shared instead, with the code of that class"
            )
        return {kind: name, **_arguments(node, name, place)}
    if tag.startswith("!"):
        raise ExportError(
            f"{place}: {tag} has no form as plain data; write the value itself"
        )
    if isinstance(node, dict):
        return {str(k): to_plain(v, f"{place}.{k}") for k, v in node.items()}
    if isinstance(node, (list, tuple)):
        return [to_plain(v, f"{place}[{i}]") for i, v in enumerate(node)]
    return _scalar(node, place)


def _arguments(node, name, place):
    """Return what a class is called with, as plain data."""
    if isinstance(node, list):
        values = [to_plain(v, f"{place}[{i}]") for i, v in enumerate(node)]
        return {ARGS: values} if values else {}
    if not isinstance(node, dict):  # nothing behind the tag
        return {}
    return {
        key: to_plain(value, f"{place}.{key}")
        for key, value in node.items()
        if not (name in FROZEN and key == "source")
    }


def _scalar(value, place):
    """Return a single value in a type of Python's own."""
    if value is None or isinstance(value, bool):
        return value
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    for kind in (int, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        if value == math.inf and place.endswith("seconds"):
            return None  # to features and backbones the same: no bound
    raise ExportError(f"{place}: {value!r} has no form as plain data")


def from_plain(value, place, source=None):
    """Make the objects of plain data.

    Arguments
    ---------
    value : object
        What ``to_plain`` has returned, or anything else.
    place : str
        Where it stands, for the error message.
    source : str or None
        ``source`` of the backbone in it.

    Returns
    -------
    object

    Raises
    ------
    HparamsError
        If it is no such data, names another class than those of ``CLASSES``,
        or the class does not take these arguments.
    UserError
        See ``petl_modules.backbones.load_pretrained``.

    Example
    -------
    >>> from_plain({"!name": "torch.nn.Linear", "out_features": 2}, "n")
    functools.partial(<class 'torch.nn.modules.linear.Linear'>, out_features=2)
    >>> from_plain({"!new": "os.system", "!args": ["ls"]}, "n")
    Traceback (most recent call last):
    petl_modules.utils.errors.HparamsError: n: 'os.system' is no class that plain data can name
    """
    _require_bounds(value, place)
    return _make(value, place, source)


def _make(value, place, source):
    if isinstance(value, list):
        return [_make(v, f"{place}[{i}]", source) for i, v in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kind = next((key for key in (NEW, NAME) if key in value), None)
    name = value.get(kind)
    for key in value:
        known = kind is not None and key in (kind, ARGS)
        if not isinstance(key, str) or (
            not known and key.startswith(("!", "__"))
        ):
            raise HparamsError(
                f"{place}: the key {brief(repr(key))} has no meaning here"
            )
    arguments = {
        key: _make(part, f"{place}.{key}", source)
        for key, part in value.items()
        if key not in (kind, ARGS)
    }
    if kind is None:
        return arguments
    if not isinstance(name, str) or name not in CLASSES:
        raise HparamsError(
            f"{place}: {brief(repr(name))} is no class that plain data can name"
        )
    ordered = _make(value.get(ARGS, []), f"{place}.{ARGS}", source)
    if not isinstance(ordered, list):
        raise HparamsError(f"{place}.{ARGS} is no list")
    made = CLASSES[name]
    if name in FROZEN:
        if "source" in arguments or ordered:
            raise HparamsError(
                f"{place}: the source of a backbone is no part of the data"
            )
        arguments["source"] = source
    if kind == NAME:
        return partial(made, *ordered, **arguments)
    with naming(place):
        return made(*ordered, **arguments)


def _require_bounds(value, place):
    """Refuse what is no plain data, or more of it than any model has."""
    level, count = [(None, value)], 0
    for _ in range(DEEPEST):
        below = []
        for key, part in level:
            count += 1
            if isinstance(part, dict):
                below.extend(part.items())
            elif isinstance(part, list):
                below.extend((key, inner) for inner in part)
            elif not _is_plain(part, LIMITS.get(key, LARGEST)):
                raise HparamsError(
                    f"{place}: {brief(repr(part))} is no value of plain data"
                )
        if count > MOST:
            break
        if not below:
            return
        level = below
    raise HparamsError(
        f"{place} is too large: it has more than {MOST} values, or {DEEPEST} "
        "levels"
    )


def _is_plain(value, largest):
    """Return whether a value is None, a text or a number of usual size."""
    if value is None or isinstance(value, (bool, str)):
        return True
    return isinstance(value, (int, float)) and abs(value) <= largest
