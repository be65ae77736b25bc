"""Speaker verification: trials, scores, error rates and their loss."""

from petl_modules.verification.embedding import WHOLE, embed_windows
from petl_modules.verification.error_rates import error_curve, rates_at
from petl_modules.verification.evaluation import (
    evaluate_trials,
    make_trial_loader,
)
from petl_modules.verification.fold_trials import make_trials
from petl_modules.verification.loss import angular_margin_loss
from petl_modules.verification.metrics import VerificationMetrics
from petl_modules.verification.plot import write_error_curve
from petl_modules.verification.scoring import (
    as_norm,
    clip_vectors,
    score_trials,
    unit_vectors,
)
from petl_modules.verification.trial_draws import draw_trials
from petl_modules.verification.trial_lists import find_trials, read_trials
from petl_modules.verification.trials import (
    KNOWN,
    SHORTEST,
    Trials,
    write_trials,
)

__all__ = [
    "KNOWN",
    "SHORTEST",
    "Trials",
    "VerificationMetrics",
    "WHOLE",
    "angular_margin_loss",
    "as_norm",
    "clip_vectors",
    "draw_trials",
    "embed_windows",
    "error_curve",
    "evaluate_trials",
    "find_trials",
    "make_trial_loader",
    "make_trials",
    "rates_at",
    "read_trials",
    "score_trials",
    "unit_vectors",
    "write_error_curve",
    "write_trials",
]
