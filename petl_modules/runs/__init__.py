"""One run of a recipe: command line, folder, folds, summary."""

from petl_modules.runs.command_line import compose
from petl_modules.runs.experiment import Experiment
from petl_modules.runs.fold_logger import FoldLogger
from petl_modules.runs.input_keys import fill_in_input
from petl_modules.runs.plan import plan_folds
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.start import open_run, plain_errors, start

__all__ = [
    "Experiment",
    "FoldLogger",
    "RecipeFile",
    "compose",
    "fill_in_input",
    "open_run",
    "plain_errors",
    "plan_folds",
    "start",
]
