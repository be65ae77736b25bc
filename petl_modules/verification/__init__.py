"""Speaker verification: lists of trials."""

from petl_modules.verification.trial_draws import draw_trials
from petl_modules.verification.trials import (
    KNOWN,
    Trials,
    find_trials,
    read_trials,
    write_trials,
)

__all__ = [
    "KNOWN",
    "Trials",
    "draw_trials",
    "find_trials",
    "read_trials",
    "write_trials",
]
