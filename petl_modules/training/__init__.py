"""Tools of a recipe's Brain: steps, metrics, model selection, checkpoints."""

from petl_modules.training.accuracy import (
    accuracy,
    slot_accuracy,
    unweighted_accuracy,
)
from petl_modules.training.checkpointer import SafeCheckpointer
from petl_modules.training.confusion import write_confusion
from petl_modules.training.hidden_cache import keep_hidden
from petl_modules.training.linear_probe import pool_once
from petl_modules.training.loaders import (
    make_train_loader,
    prepare_workers,
)
from petl_modules.training.metrics import ClassificationMetrics
from petl_modules.training.model_selection import (
    epoch_meta,
    evaluate_last_and_best,
    require_metric,
    selection_value,
)
from petl_modules.training.parameter_groups import (
    learning_rates,
    parameter_groups,
)
from petl_modules.training.reproducible import ReproducibleSteps, seed_step
from petl_modules.training.sanity_checks import (
    frozen_digests,
    require_gradients,
    require_unchanged,
)
from petl_modules.training.schedules import epoch_steps, warm_cosine
from petl_modules.training.timer import Timer

__all__ = [
    "ClassificationMetrics",
    "ReproducibleSteps",
    "SafeCheckpointer",
    "Timer",
    "accuracy",
    "epoch_meta",
    "epoch_steps",
    "evaluate_last_and_best",
    "frozen_digests",
    "keep_hidden",
    "learning_rates",
    "make_train_loader",
    "parameter_groups",
    "pool_once",
    "prepare_workers",
    "require_gradients",
    "require_metric",
    "require_unchanged",
    "seed_step",
    "selection_value",
    "slot_accuracy",
    "unweighted_accuracy",
    "warm_cosine",
    "write_confusion",
]
