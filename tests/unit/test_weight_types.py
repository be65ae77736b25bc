"""The types of a checkpoint's numbers, in one file or in several."""

import json

import pytest
import torch
from safetensors.torch import save_file

from petl_modules.backbones.weight_types import other_types

FIRST = {"a.weight": torch.zeros(2, dtype=torch.float16)}
SECOND = {
    "b.weight": torch.zeros(2, dtype=torch.int8),
    "c.weight": torch.zeros(2, dtype=torch.bfloat16),
}


def save(weights, file):
    if file.suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save(weights, file)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("model.safetensors", "I8"), ("pytorch_model.bin", "int8")],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_weights_that_are_no_floating_point_numbers(
    name, kind, sharded, tmp_path
):
    if sharded:
        shards = {f"1-{name}": FIRST, f"2-{name}": SECOND}
        places = {k: file for file, part in shards.items() for k in part}
        index = {"weight_map": places}
        (tmp_path / f"{name}.index.json").write_text(json.dumps(index))
    else:
        shards = {name: {**FIRST, **SECOND}}
    for file, part in shards.items():
        save(part, tmp_path / file)
    save({"x": torch.zeros(2, dtype=torch.int8)}, tmp_path / f"other-{name}")
    assert other_types(tmp_path) == {"b.weight": kind}
