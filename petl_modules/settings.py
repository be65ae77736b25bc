"""What a run's settings must be, by themselves and beside an earlier run's.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import json

import torch

from petl_modules.hparams import one_line_values
from petl_modules.utils import HparamsError, lock_folder, write_json, write_text

# Keys that may differ between two runs into one folder
FREE_KEYS = {
    "data_folder",  # data.json knows the data
    "folds",
    "few_shot_draws",
    "download",
    "num_workers",
    "pin_memory",
    "recompute",  # the gradients are the same
    "test_batch_size",  # so are the logits, but for rounding
    "feature_cache",  # so are the features
    "output_folder",
    "manifest_folder",
}

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


def claim_folder(file, text):
    """Makes a run's folder, or finds that it is this very run's.

    A folder is taken once something is trained in it.

    Arguments
    ---------
    file : pathlib.Path
        The merged recipe file in the folder. It is written.
    text : str
        Its content.

    Raises
    ------
    HparamsError
        If the folder cannot be written to, or holds a run with other
        settings; names those that differ.
    """
    folder = file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".write_test").touch()
        (folder / ".write_test").unlink()
    except OSError as error:
        raise HparamsError(
            f"output_folder {folder} cannot be written to "
            f"({error.strerror}): name another with --output_folder"
        ) from error
    lock_folder(folder)
    if not _is_begun(folder):
        write_text(file, text)
        return
    theirs = one_line_values(file.read_text(encoding="utf-8"))
    ours = one_line_values(text)
    lines = [
        f"  {key}: {theirs.get(key, 'absent')} there, "
        f"{ours.get(key, 'absent')} now"
        for key in {**theirs, **ours}
        if key not in FREE_KEYS and not _same(theirs.get(key), ours.get(key))
    ]
    if lines:
        raise HparamsError(
            f"{folder} holds a run with other settings:\n"
            + "\n".join(lines)
            + "\nName another --output_folder, or move that one away"
        )


def claim_data(folder, records, processes):
    """Writes down a run's data and processes, or finds the same there.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    records : dict
        The manifest.
    processes : int
        How many processes train together.

    Raises
    ------
    HparamsError
        If something is trained there on other data, or by another number of
        processes, whose batches together are of another size.
    """
    content = json.dumps(records, sort_keys=True).encode()
    ours = {
        "clips": len(records),
        "data": hashlib.sha256(content).hexdigest(),
        "processes": processes,
    }
    file = folder / "data.json"
    if _is_begun(folder) and file.is_file():
        theirs = json.loads(file.read_text(encoding="utf-8"))
        lines = [
            f"  {key}: {theirs[key]} there, {ours[key]} now"
            for key in ours
            if theirs[key] != ours[key]
        ]
        if lines:
            raise HparamsError(
                f"{folder} holds a run on other data or processes:\n"
                + "\n".join(lines)
                + "\nName another --output_folder, or move that one away"
            )
    else:
        write_json(file, ours)


def _is_begun(folder):
    """Whether something is trained in a run's folder already."""
    work = ("fold*/save/CKPT+*", "fold*/result.json")
    return any(any(folder.glob(pattern)) for pattern in work)


def _same(one, other):
    """Whether two values are the same text, or the same number."""
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return one == other
