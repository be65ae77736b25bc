"""Checks of a recipe's values and of the device.

Authors
 * The PETL audio recipes team 2026
"""

import torch

from petl_modules.utils import HparamsError

# The least value that a run can have
LEAST = {
    "number_of_epochs": 1,
    "batch_size": 1,
    "test_batch_size": 1,
    "grad_accumulation_factor": 1,
    "nonfinite_patience": 0,
    "num_workers": 0,
    "few_shot": 0,
    "few_shot_draws": 1,
    "lr": 0,
    "weight_decay": 0,
}


def check_values(settings):
    """Refuses values that no run can have.

    Arguments
    ---------
    settings : dict
        The recipe file's keys with references put in.

    Raises
    ------
    HparamsError
        Names the key and what it takes.
    """
    for key, value in LEAST.items():
        if not isinstance(settings[key], (int, float)):
            raise HparamsError(f"{key} is '{settings[key]}': give a number")
        if settings[key] < value:
            raise HparamsError(
                f"{key} is {settings[key]}: at least {value} is needed"
            )
    if not settings["lr"]:
        raise HparamsError("lr is 0: nothing would be trained")
    precision, seed = settings["precision"], settings["seed"]
    if precision not in ("fp32", "bf16", "fp16"):
        raise HparamsError(
            f"precision '{precision}' is none of: fp32, bf16, fp16"
        )
    if precision == "fp16" and settings["backbone_dtype"] != "float32":
        raise HparamsError(
            "precision fp16 and backbone_dtype bfloat16 do not go together: "
            "take precision bf16 or fp32"
        )
    dtype = settings["feature_cache_dtype"]
    if dtype not in ("float32", "float16"):
        raise HparamsError(
            f"feature_cache_dtype '{dtype}' is none of: float32, float16"
        )
    if dtype == "float16" and not settings["feature_cache"]:
        raise HparamsError(
            "feature_cache_dtype float16 is for a cache, and there is none: "
            "name its folder with --feature_cache DIR"
        )
    if not 0 <= seed < 2**32:
        raise HparamsError(f"seed {seed} is not in 0 .. 2**32 - 1")


def check_device(device):
    """Refuses a device that is not there.

    Arguments
    ---------
    device : str or None
        As ``--device`` names it. None: SpeechBrain chooses.

    Raises
    ------
    HparamsError
        With torch's reason.
    """
    try:
        torch.empty(0, device=device)
    except RuntimeError as error:
        raise HparamsError(
            f"--device {device} cannot be used here; leave the option out, or "
            f"take cpu. The reason given: {str(error).splitlines()[0]}"
        ) from error
