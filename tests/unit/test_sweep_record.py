"""The record of a sweep: what it saves, and when it is made anew."""

import pytest

from petl_modules.sweeps import (
    Cell,
    known_cells,
    read_sweep,
    record,
    recorded_cells,
    write_record,
)
from petl_modules.sweeps.record import record_of
from petl_modules.sweeps.states import state_of

TEXT = """
grid: {dataset: [./recipe], method: [lora]}
data: {./recipe: .}
output_folder: out
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "recipe" / "hparams").mkdir(parents=True)
    (tmp_path / "recipe" / "train.py").touch()
    (tmp_path / "recipe" / "hparams" / "lora.yaml").write_text("lr: 1\n")
    (tmp_path / "sweep.yaml").write_text(TEXT)
    return read_sweep(tmp_path / "sweep.yaml")


@pytest.fixture
def cells(tmp_path):
    """A run of two folds with two draws each, and one of unknown folds."""
    whole = Cell(
        *("recipe", "ast", "lora", "train.py", "lora.yaml", {"lr": "1"}),
        *(str(tmp_path / "out" / "a"), str(tmp_path)),
        preparation="p",
    )
    folds = [whole._replace(fold=fold, draws=2) for fold in (1, 2)]
    return [*folds, whole._replace(folder=str(tmp_path / "out" / "b"))]


def shape(cells):
    return [(cell.kind, cell.place, cell.parts) for cell in cells]


def test_recorded_cells_are_those_of_the_sweep(sweep, cells):
    write_record(sweep, cells)
    found = recorded_cells(sweep)
    assert shape(found) == shape(cells)
    assert [*map(state_of, found)] == [*map(state_of, cells)]


def change_file(sweep):
    sweep.file.write_text(TEXT.replace("lora", "linear"))


def change_recipe(sweep):
    (sweep.file.parent / "recipe" / "hparams" / "lora.yaml").write_text("")


def damage(sweep):
    record_of(sweep).write_text("{")


@pytest.mark.parametrize("change", [change_file, change_recipe, damage])
def test_record_of_another_sweep_is_made_anew(
    change, sweep, cells, monkeypatch
):
    write_record(sweep, cells)
    change(sweep)
    changed = read_sweep(sweep.file)
    assert recorded_cells(changed) is None
    monkeypatch.setattr(record, "plan_cells", lambda _: cells[:1])
    assert shape(known_cells(changed)) == shape(cells[:1])
    monkeypatch.setattr(record, "plan_cells", None)  # it is not asked again
    assert shape(known_cells(changed)) == shape(cells[:1])
