"""One run of a recipe: command line, folder, folds, summary.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.runs.command_line import compose
from petl_modules.runs.experiment import (
    Experiment,
    plain_errors,
    traceback_in_log,
)
from petl_modules.runs.plan import plan_folds
from petl_modules.runs.recipe_file import make

__all__ = [
    "Experiment",
    "compose",
    "make",
    "plain_errors",
    "plan_folds",
    "traceback_in_log",
]
