"""Sweeps: a grid of runs, as cells that any engine starts."""

from petl_modules.sweeps.cell import Cell
from petl_modules.sweeps.cell_run import BUSY, run_cell, stop_cells
from petl_modules.sweeps.engines import ENGINES
from petl_modules.sweeps.finished_runs import require_same_settings
from petl_modules.sweeps.miniature import in_miniature, write_data
from petl_modules.sweeps.planning import plan_cells
from petl_modules.sweeps.record import (
    known_cells,
    recorded_cells,
    write_record,
)
from petl_modules.sweeps.running import run_cells
from petl_modules.sweeps.searching import require_search, search
from petl_modules.sweeps.states import is_done
from petl_modules.sweeps.status import plan_text, status_text
from petl_modules.sweeps.sweep_file import read_sweep
from petl_modules.sweeps.trials import with_trials

__all__ = [
    "BUSY",
    "Cell",
    "ENGINES",
    "in_miniature",
    "is_done",
    "known_cells",
    "plan_cells",
    "plan_text",
    "read_sweep",
    "recorded_cells",
    "require_same_settings",
    "require_search",
    "run_cell",
    "run_cells",
    "search",
    "status_text",
    "stop_cells",
    "with_trials",
    "write_data",
    "write_record",
]
