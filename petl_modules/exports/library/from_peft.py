"""LoRA adapters of peft, read as what a model of ours is made of."""

import re
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file

from petl_modules.utils import CheckpointError, ExportError, brief, read_json

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
REMEDY = "Download or copy the adapter's folder again"
FORM = {
    "peft_type": str,
    "lora_alpha": float,
    "rank_pattern?": {str: range(1, 1 << 20)},
    "alpha_pattern?": {str: float},
}
# Keys of the configuration that change nothing of what the weights mean, or
# are read below; the others must be off
READ = (
    *("alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias"),
    *("exclude_modules", "inference_mode", "init_lora_weights"),
    *("layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout"),
    *("megatron_core", "modules_to_save", "peft_type", "peft_version"),
    *("qalora_group_size", "r"),
    *("rank_pattern", "revision", "runtime_config", "target_modules"),
    *("task_type", "use_rslora"),
)
VALUES = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    # Others, such as pissa, change the base's weights as well
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
}
LORA = re.compile(r"(.+)\.lora_([AB])\.weight")
ROOT = re.compile(r"^base_model\.model\.")
# Names of AST's modules in transformers 4, and in 5
AST_NAMES = {
    r"\bencoder\.layer\.": "layers.",
    r"\battention\.attention\.(query|key|value)\b": (
        lambda found: f"attention.{found[1][0]}_proj"
    ),
    r"\battention\.output\.dense\b": "attention.o_proj",
    r"\bintermediate\.dense\b": "mlp.fc1",
    r"(?<=\d\.)output\.dense\b": "mlp.fc2",
}


class Adapter(NamedTuple):
    """An adapter of peft.

    Arguments
    ---------
    folder : pathlib.Path
        Where it is.
    config : dict
        Its configuration.
    lora : dict
        From the path of a linear layer, by the names of transformers 5, to
        ``(a, b, alpha)``: two matrices, and what the product is scaled by is
        alpha / rank.
    saved : dict
        Other tensors by name: those of modules_to_save.
    """

    folder: Path
    config: dict
    lora: dict
    saved: dict


def read_adapter(folder):
    """Read an adapter of peft, of which the weights are LoRA.

    Arguments
    ---------
    folder : str or pathlib.Path
        Its folder.

    Returns
    -------
    Adapter

    Raises
    ------
    ExportError
        If its configuration has something that a model of ours has not.
    CheckpointError, DataError
        If a file is missing or damaged.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG, FORM, REMEDY)
    _require_lora(folder / CONFIG, config)
    try:
        state = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors raises its own
        raise CheckpointError(
            f"{folder / WEIGHTS} cannot be read: {brief(error)}. {REMEDY}"
        ) from error
    pairs, saved = {}, {}
    for key, value in state.items():
        if not value.isfinite().all():
            raise CheckpointError(
                f"{folder / WEIGHTS}: {key} has values that are not finite"
            )
        name = ROOT.sub("", key)
        if found := LORA.fullmatch(name):
            pairs.setdefault(found[1], {})[found[2]] = value.float()
        else:
            saved[_new_name(name)] = value.float()
    lora = {}
    for path, pair in pairs.items():
        if pair.keys() != {*"AB"}:
            raise CheckpointError(
                f"{folder / WEIGHTS}: {path} has one matrix of LoRA. {REMEDY}"
            )
        a, b = pair["A"], pair["B"]
        if a.dim() != 2 or b.dim() != 2 or a.shape[0] != b.shape[1]:
            raise ExportError(
                f"{folder / WEIGHTS}: {path} is adapted by {tuple(a.shape)} "
                f"and {tuple(b.shape)}, and LoRA here is of linear layers"
            )
        alpha = _alpha_of(config, path)
        if config.get("use_rslora"):  # scaled by alpha / sqrt(rank)
            alpha *= len(a) ** 0.5
        lora[_new_name(path)] = a, b, alpha
    return Adapter(folder, config, lora, saved)


def _require_lora(file, config):
    """Refuse what a configuration has beside LoRA."""
    off = (None, False, [], {}, 0, "")
    wrong = {
        key: value
        for key, value in config.items()
        if (key in VALUES and value not in VALUES[key])
        or (key not in READ and value not in off)
    }
    if wrong:
        said = ", ".join(f"{k} {brief(repr(v))}" for k, v in wrong.items())
        raise ExportError(
            f"{file}: {said}: no model of this project has that. What can be "
            "converted is LoRA of linear layers, with a head in modules_to_save"
        )


def _alpha_of(config, path):
    """Return a layer's alpha, as peft reads its patterns."""
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", path):
                return float(alpha)
        except re.error as error:
            raise ExportError(
                f"alpha_pattern '{pattern}' is no pattern: {error}"
            ) from error
    return float(config["lora_alpha"])


def _new_name(path):
    """Return the name in transformers 5 of a module."""
    for old, new in AST_NAMES.items():
        path = re.sub(old, new, path)
    return path


def lora_methods(adapter, paths):
    """Return LoRA as methods, and their weights by the names of a checkpoint.

    Arguments
    ---------
    adapter : Adapter
        The adapter.
    paths : dict
        From the path of each linear layer that can be adapted to the number
        of its layer and the name of its site.

    Returns
    -------
    methods : list of dict
        Arguments of ``petl_modules.methods.LoRA``.
    state : dict
        Tensors by name.

    Raises
    ------
    ExportError
        If another module is adapted.
    """
    sizes, last = {}, max(layer for layer, _ in paths.values())
    for path, (a, _, alpha) in adapter.lora.items():
        if path not in paths:
            raise ExportError(
                f"{adapter.folder}: LoRA is at {path}, and can be at linear "
                "layers of the encoder's layers here: "
                f"{', '.join(sorted({site for _, site in paths.values()}))}"
            )
        layer, site = paths[path]
        sizes.setdefault((len(a), alpha, site), []).append(layer)
    groups = {}
    for (rank, alpha, site), layers in sizes.items():
        key = rank, alpha, tuple(sorted(layers))
        groups.setdefault(key, []).append(site)
    methods, state = [], {}
    for index, ((rank, alpha, layers), sites) in enumerate(groups.items()):
        whole = len(layers) == last + 1
        methods.append(
            {
                "at": sorted(sites),
                "rank": rank,
                "alpha": alpha,
                "layers": "all" if whole else list(layers),
            }
        )
        for path, (a, b, _) in adapter.lora.items():
            layer, site = paths[path]
            if site in sites and layer in layers:
                name = f"{index}.layers.{layer}.{site}"
                state[f"{name}.lora_a.weight"] = a
                state[f"{name}.lora_b.weight"] = b
    return methods, state
