"""What a recipe's Brain uses.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.training.checkpointer import SafeCheckpointer
from petl_modules.training.linear_probe import pool_once
from petl_modules.training.metrics import (
    Tally,
    accuracy,
    part_accuracy,
    unweighted_accuracy,
)
from petl_modules.training.model_selection import (
    best_then_earliest,
    epoch_meta,
    fold_result,
    require_best,
)
from petl_modules.training.nonfinite import LossWatch
from petl_modules.training.sanity_checks import (
    frozen_digests,
    gradients_are_finite,
    require_gradients,
    require_unchanged,
)
from petl_modules.training.timer import Stopwatch

__all__ = [
    "LossWatch",
    "SafeCheckpointer",
    "Stopwatch",
    "Tally",
    "accuracy",
    "best_then_earliest",
    "epoch_meta",
    "fold_result",
    "frozen_digests",
    "gradients_are_finite",
    "part_accuracy",
    "pool_once",
    "require_best",
    "require_gradients",
    "require_unchanged",
    "unweighted_accuracy",
]
