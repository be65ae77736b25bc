"""Parameter-efficient transfer learning of audio transformers.

Import it before torch: it decides how idle CPU threads wait.
"""

import os

# OpenMP's threads read this once, when torch loads them. Threads that wait for
# work would spin, on cores that the data loader's workers need.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # some 0.05 ms

__version__ = "0.2.0"
__all__ = ["AudioClassifier", "TaskBank", "Transcriber", "Verifier"]


def __getattr__(name):
    """Return what opens a trained model; imported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from petl_modules import inference

    return getattr(inference, name)
