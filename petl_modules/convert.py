"""Turn a LoRA adapter of peft into a folder that this project opens.

``python -m petl_modules.convert PEFT_DIR DIR --base_model OWNER/NAME`` writes a
travelling folder; ``petl_modules.AudioClassifier`` opens it.
"""

import argparse
import tempfile
from pathlib import Path

from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")

import torch
from transformers import AutoConfig

from petl_modules.backbones import (
    INPUT_KEYS,
    check_fact,
    find_checkpoint,
    input_facts,
)
from petl_modules.exports.command import writing
from petl_modules.exports.exporting import export
from petl_modules.exports.library import (
    KINDS,
    Names,
    head_state,
    lora_methods,
    parts_of_library,
    read_adapter,
)
from petl_modules.exports.tagged import tagged
from petl_modules.models import WEIGHTS, save_trained, trained_state
from petl_modules.runs import RecipeFile
from petl_modules.runs.yaml_text import dump_yaml, parse_yaml
from petl_modules.utils import (
    ExportError,
    printable,
    read_json,
    require_new_folder,
    show,
    write_text,
)

__all__ = ["convert", "main"]

INPUT = "preprocessor_config.json"


def main(arguments=None):
    """Run the command line: ``PEFT_DIR DIR --base_model NAME``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.convert")
    parser.add_argument(
        "adapter", metavar="PEFT_DIR", help="folder of a LoRA adapter of peft"
    )
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--base_model",
        metavar="OWNER/NAME",
        help="the base, or its folder; default: the one the adapter names",
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        help="names of the classes, if neither adapter nor base has them",
    )
    chosen = parser.parse_args(arguments)
    with writing():
        names = convert(
            chosen.adapter, chosen.folder, chosen.base_model, chosen.labels
        )
    show(printable(f"wrote to {Path(chosen.folder).absolute()}:"))
    for name in names:
        show(f"    {name}")


def convert(adapter, folder, base_model=None, labels=None):
    """Write a LoRA adapter of peft as a travelling folder.

    Arguments
    ---------
    adapter : str or pathlib.Path
        A folder that peft's ``save_pretrained`` wrote.
    folder : str or pathlib.Path
        A new or empty folder.
    base_model : str or None
        Name on the hub or folder of the base. None: as the adapter says.
    labels : list of str or None
        Names of the classes. None: as the adapter or its base says.

    Returns
    -------
    list of str
        The files in the folder.

    Raises
    ------
    FileExistsError
        If the folder is not empty.
    UserError
        If something is missing or damaged, or the adapter has what no model of
        ours has (``ExportError``).
    """
    require_new_folder(Path(folder))
    read = read_adapter(adapter)
    checkpoint = find_checkpoint(base_model or _base_of(read))
    config = AutoConfig.from_pretrained(
        checkpoint.folder, trust_remote_code=False
    )
    _require_ours(read, config)
    names, saved = Names(config), dict(read.saved)
    methods, state = lora_methods(read, names.linear)
    head = head_state(config, saved, checkpoint)
    norms, trained = names.take_norms(saved)
    if saved:
        raise ExportError(
            f"{read.folder}: no model of this project has trained "
            f"{', '.join(sorted(saved))} beside LoRA"
        )
    said = _input_of(read)
    if "max_length" in said:  # frames of an AST
        config.max_length = said["max_length"]
    values = dict(input_facts(checkpoint.source).values)
    for name in values:
        values[name] = said.get(INPUT_KEYS[name], values[name])
        check_fact(name, values[name], read.folder / INPUT)
    labels = labels or said.get("labels") or _names_of(config)
    count = len([*head.values()][-1])
    if labels is None or len(labels) != count:
        raise ExportError(
            f"{read.folder} has a head of {count} classes, and "
            f"{len(labels or [])} names of classes are known: name all, --labels"
        )
    parts = parts_of_library(config, methods, norms, labels, values)
    with tempfile.TemporaryDirectory() as scratch:
        fold = Path(scratch) / read.folder.resolve().name
        state.update({**head, **trained})
        _write_fold(fold, parts, labels, state, checkpoint.source)
        return export(fold, folder)


def _base_of(read):
    """Return the base that an adapter names."""
    name, revision = (
        read.config.get(key) for key in ("base_model_name_or_path", "revision")
    )
    if not name:
        raise ExportError(
            f"{read.folder} names no base: give the one that it was trained "
            "on, --base_model"
        )
    return f"{name}@{revision}" if revision else name


def _require_ours(read, config):
    """Refuse a base whose class of transformers is no model of ours."""
    kind, reason = config.model_type, None
    if kind == "whisper":
        reason = "its class averages the silence behind a clip as well"
    elif kind not in KINDS:
        reason = f"bases of the kind '{kind}' are not known here"
    elif kind == "wavlm" and any("attention" in path for path in read.lora):
        reason = (
            "WavLM's attention in transformers passes LoRA by, so it has "
            "learnt nothing there"
        )
    elif getattr(config, "use_weighted_layer_sum", False):
        reason = "its base sums the layers (use_weighted_layer_sum)"
    if reason:
        raise ExportError(f"{read.folder} cannot be converted: {reason}")


def _input_of(read):
    """Return what an adapter's folder says of its input."""
    file = read.folder / INPUT
    form = {"labels?": [str], "max_length?": range(1, 1 << 20)}
    return read_json(file, form, "Restore it") if file.exists() else {}


def _names_of(config):
    """Return the names of a base's classes; None if they are numbers."""
    names = [config.id2label[i] for i in range(config.num_labels)]
    numbers = [f"LABEL_{i}" for i in range(config.num_labels)]
    return None if names == numbers else names


def _write_fold(folder, parts, labels, state, source):
    """Write the fold of a run, as if it had been trained here."""
    tree = {key: tagged(part, source) for key, part in parts.items()}
    tree["model"]["encoder"] = parse_yaml("!ref <encoder>", "encoder")
    tree.update(method="lora", labels=labels)
    recipe = RecipeFile.parse(dump_yaml(tree))
    model = recipe["model"].eval()
    own = trained_state(model)
    for name in sorted(own.keys() | state.keys()):
        shapes = [getattr(s.get(name), "shape", None) for s in (state, own)]
        if shapes[0] != shapes[1]:
            raise ExportError(
                f"the adapter is for another base than {source}: {name} has "
                f"the shape {shapes[0]} in one and {shapes[1]} in the other"
            )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])
    write_text(folder / "hyperparams.yaml", recipe.text)
    save_trained(model, folder / WEIGHTS)


if __name__ == "__main__":
    main()
