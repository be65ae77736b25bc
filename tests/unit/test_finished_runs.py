"""Results of other settings than a sweep's do not pass for its own."""

from pathlib import Path

import pytest

from petl_modules.runs.arguments import read_value
from petl_modules.runs.command_line import compose
from petl_modules.sweeps import plan_cells, read_sweep, require_same_settings
from petl_modules.utils import UserError

TEXT = """
grid:
  dataset: [ESC50]
  method: [lora]
  layers: [all, "[0, 1]"]
  backbone: [enc/ast, MIT/ast-finetuned]
set: {all: {number_of_epochs: 2}}
data: {ESC50: data}
output_folder: out
"""
# Of the folders. What a run fills in: the commit of the hub, and more
RUNS = {
    "ast/lora-layers=all": ("all", "enc/ast"),
    "ast/lora-layers=0,1": ("[0, 1]", "enc/ast"),
    "ast-finetuned/lora-layers=all": ("all", "MIT/ast-finetuned@0123abc"),
}
FREE = {"mean": -4.2, "folds": [3], "num_workers": 7}


@pytest.fixture
def plan(tmp_path):
    """Returns the cells of a sweep file with a change."""
    for name in ("data", "enc/ast"):
        (tmp_path / name).mkdir(parents=True)

    def plan(old="", new=""):
        (tmp_path / "sweep.yaml").write_text(TEXT.replace(old, new))
        return plan_cells(read_sweep(tmp_path / "sweep.yaml"))

    return plan


@pytest.fixture
def cells(plan, tmp_path):
    """Cells of which some are done: what their runs leave is there."""
    cells = plan()
    words = [cells[0].file, "--number_of_epochs", "2", "--data_folder", "data"]
    recipe, _ = compose(words, Path(cells[0].script).parent)
    for name, (layers, backbone) in RUNS.items():
        if backbone == "enc/ast":
            backbone = str(tmp_path / backbone)
        layers = read_value("layers", [layers], "all")
        recipe.update({"layers": layers, "backbone": backbone, **FREE})
        fold = tmp_path / "out" / "ESC50" / name / "10" / "fold3"
        fold.mkdir(parents=True)
        (fold / "result.json").touch()
        (fold.parent / "hyperparams.yaml").write_text(recipe.text)
    return cells


def test_own_results_are_taken(cells, plan):
    require_same_settings(cells)
    more = plan("  layers:", "  seed: [10, 11]\n  layers:")
    require_same_settings(more)


def test_results_from_before_a_key_was_there_are_taken(cells):
    file = Path(cells[0].folder, "hyperparams.yaml")
    text = file.read_text()
    assert "\nnum_workers: " in text
    file.write_text(text.replace("\nnum_workers: ", "\nold_key: "))
    require_same_settings(cells)


def test_results_of_other_settings_are_named(cells, plan):
    text = r"lora-layers=all/10: {}(?s:.*)lora-layers=0,1/10: {}"
    change = r"number_of_epochs: 2 there, 3 now"
    with pytest.raises(UserError, match=text.format(change, change)):
        require_same_settings(plan("epochs: 2", "epochs: 3"))
    file = Path(cells[0].folder, "hyperparams.yaml")
    file.write_text(file.read_text().replace("batch_size: ", "batch_size: 1"))
    with pytest.raises(UserError, match="all/10: batch_size: 1"):
        require_same_settings(cells)
    file.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        require_same_settings(cells)
