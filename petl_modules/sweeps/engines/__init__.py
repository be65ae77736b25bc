"""Engines: what starts the cells of a sweep.

An engine is a module with two functions:

* ``add_options(parser)`` declares its options of the command line;
* ``run(cells, options)`` runs cells, and yields ``(cell, None)`` as one
  starts and ``(cell, code)`` as it ends, with the exit code of ``run_cell``.
  ``options`` are the parsed ones, and as ``sweep`` the sweep. Closing the
  generator stops what it has started. An engine that only submits yields
  nothing.

The data of the cells are prepared before, unless the module says ``PREPARES =
False``.
"""

from petl_modules.sweeps.engines import local, printed, ray, slurm

ENGINES = {"local": local, "slurm": slurm, "ray": ray, "print": printed}

__all__ = ["ENGINES"]
