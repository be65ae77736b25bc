"""Checks of the device, and of the precision that it computes in."""

import torch
from speechbrain.utils.distributed import infer_device

from petl_modules.utils import HparamsError


def check_device(device):
    """Check that a device can be used.

    Arguments
    ---------
    device : str or None
        The value of ``--device``. None: SpeechBrain chooses.

    Raises
    ------
    HparamsError
        If not; with torch's reason.
    """
    try:
        torch.empty(0, device=device).cpu()  # the meta device has no values
    except (RuntimeError, NotImplementedError) as error:
        raise HparamsError(
            f"--device {device} cannot be used here; leave the option out, or "
            f"take cpu. The reason given: {str(error).splitlines()[0]}"
        ) from error


def check_precision(settings, run_opts):
    """Check that the device computes in a precision.

    Arguments
    ---------
    settings : dict
        The recipe file's values.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.

    Raises
    ------
    HparamsError
        If not.
    """
    device = run_opts.device or infer_device()
    for name in ("precision", "eval_precision"):
        value = settings.get(name, run_opts[name])
        if value == "fp16" and torch.device(device).type == "cpu":
            raise HparamsError(
                f"{name} fp16 needs a GPU, and the device is {device}: give "
                f"--{name} bf16 or fp32"
            )
