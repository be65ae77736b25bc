"""The types of the numbers in a checkpoint's files, without their values."""

import json

import torch
from safetensors import safe_open

from petl_modules.backbones.hub import WEIGHTS

FLOATS = ("F64", "F32", "F16", "BF16")  # an F8 has its scale elsewhere


def other_types(folder):
    """Return the weights that are no floating-point numbers.

    Arguments
    ---------
    folder : pathlib.Path
        Holds weights that can be loaded.

    Returns
    -------
    dict
        From a weight's name to its type, such as ``I8``.
    """
    found = {}
    for file in _files(folder):
        if file.suffix == ".safetensors":
            with safe_open(str(file), "pt") as stored:
                for name in stored.keys():
                    kind = stored.get_slice(name).get_dtype()
                    if kind not in FLOATS:
                        found[name] = kind
            continue
        state = torch.load(file, map_location="meta", weights_only=True)
        for name, value in state.items():
            if torch.is_tensor(value) and not value.is_floating_point():
                found[name] = str(value.dtype).removeprefix("torch.")
    return found


def _files(folder):
    """Return the files that are loaded: one, or the shards of an index."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = json.loads(index.read_bytes())["weight_map"].values()
            return [folder / shard for shard in sorted({*shards})]
    return []
