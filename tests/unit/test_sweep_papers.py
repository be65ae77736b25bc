"""The sweeps of the papers' tables are right, and run on miniatures."""

import json
from pathlib import Path

import pytest
import yaml

from petl_modules import sweep
from petl_modules.sweeps import plan_cells, read_sweep
from petl_modules.sweeps.miniature import in_miniature
from petl_modules.sweeps.points import points_of
from petl_modules.sweeps.recipes import find_file, find_recipe

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@every_file
def test_all_that_is_named_is_there(file):
    read = read_sweep(file)
    for point in points_of(read):
        recipe = find_recipe(point["dataset"], file.parent)
        assert find_file(recipe, "method", point["method"])
        assert point["dataset"] in read.data
    assert read.output_folder == str(ROOT / "results" / "sweeps" / file.stem)


@every_file
def test_header_has_the_command(file):
    command = f"#   python -m petl_modules.sweep run sweeps/{file.name}"
    assert command in file.read_text("utf-8").splitlines()


@pytest.mark.whole
@every_file
def test_its_miniature_is_planned(file):
    cells = plan_cells(in_miniature(read_sweep(file)))
    assert len({(c.folder, c.fold) for c in cells}) == len(cells)


@pytest.mark.whole
@pytest.mark.slow
@every_file
def test_a_part_of_its_miniature_runs(file, tmp_path, monkeypatch):
    """The first data set, the last method, one seed and one epoch."""
    tree = yaml.safe_load(file.read_text("utf-8"))
    tree["grid"] = {
        key: values[-1:] if key == "method" else values[:1]
        for key, values in tree["grid"].items()
    }
    tree["output_folder"] = str(tmp_path / "out")
    tree["data"] = {tree["grid"]["dataset"][0]: "data"}
    for key in ("skip", "published"):
        tree.pop(key, None)
    tree["grid"].pop("number_of_epochs", None)
    kept = ["all", *tree["grid"]["dataset"], *tree["grid"]["method"]]
    tree["set"] = {k: v for k, v in tree.get("set", {}).items() if k in kept}
    own = tree["set"].setdefault("all", {})
    own |= {"number_of_epochs": 1, "device": "cpu"}
    part = tmp_path / "part.yaml"
    part.write_text(json.dumps(tree))
    sweep.main(["run", str(part), "--miniature", "--workers", "1"])
    cells = plan_cells(in_miniature(read_sweep(part)))
    assert all((c.place / "result.json").is_file() for c in cells)
