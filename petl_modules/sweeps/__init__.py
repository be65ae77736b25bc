"""Sweeps: a grid of runs, as cells that any engine starts."""

from petl_modules.sweeps.cell import Cell
from petl_modules.sweeps.cell_run import BUSY, run_cell

__all__ = ["BUSY", "Cell", "run_cell"]
