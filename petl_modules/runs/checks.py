"""Checks of a recipe's keys and values."""

import inspect
from pathlib import Path

from petl_modules.runs.interfaces import uses
from petl_modules.runs.layering import read_mapping
from petl_modules.runs.trackers import NONE, TRACKERS, require_tracker
from petl_modules.utils import HparamsError, problem

# By key: the smallest allowed value, and the largest or None
NUMBERS = {
    "number_of_epochs": (1, None),
    "batch_size": (1, None),
    "batch_seconds": (0, None),
    "test_batch_size": (1, None),
    "grad_accumulation_factor": (1, None),
    "nonfinite_patience": (0, None),
    "num_workers": (0, 1000),
    "few_shot": (0, None),
    "few_shot_draws": (1, None),
    "cache_bytes": (0, None),
    "lr": (0, None),
    "weight_decay": (0, None),
    "seed": (0, 2**32 - 1),
}
NO_WHOLE_NUMBERS = ("lr", "weight_decay", "batch_seconds", "cache_bytes")
CHOICES = {
    "precision": ("fp32", "bf16", "fp16"),
    "feature_cache_dtype": ("float32", "float16"),
    "hidden_cache_dtype": ("float32", "float16"),
    "logger": TRACKERS,
}
# Not all recipes have all of the keys below
TEXTS = (
    *("output_folder", "manifest_folder", "fold_folder", "save_folder"),
    *("dataset", "method", "backbone_name"),
)
FLAGS = (
    "fixed_epochs",
    "skip_bad_audio",
    "allow_partial",
    "pool_once",
    "download",
    "allow_tuned_encoder",
)
MAPPINGS = ("prepare", "train_loader", "test_loader")
CACHES = ("feature_cache", "hidden_cache")
FOLDERS = ("output_folder", "manifest_folder", *CACHES)
FORM = {
    "best_metric": {"name": str, "mode": str},
    **{f"{key}?": (str, None) for key in CACHES},
    "modules": {"model": object},
    "folds?": [object],  # plan_folds names the ones there are
    "lr_by_part?": {str: float},
    "train_norms?": (bool, str),
    **{f"{key}?": str for key in TEXTS},
    **{f"{key}?": bool for key in FLAGS},
    **{f"{key}?": {str: object} for key in MAPPINGS},
}
TAGGED = (
    *("plan", "features", "augment", "loss", "metrics", "encoder", "model"),
    *("opt_class", "lr_schedule", "epoch_counter", "train_batches", "cache"),
    *("timer", "checkpointer", "train_logger", "windows", "keep_hidden"),
)


def check_keys(settings, script):
    """Check that the recipe file has the keys that ``train.py`` reads.

    Arguments
    ---------
    settings : dict
        The recipe file's values.
    script : str
        The recipe's ``train.py``, see ``petl_modules.runs.interfaces.uses``.

    Raises
    ------
    HparamsError
        If one is missing; names the recipe's bases that have it.
    """
    for key in uses(script):
        if key not in settings:
            _refuse_without(key, Path(script))


def _refuse_without(key, script):
    """Raise the error of a recipe file without a key that ``train.py`` reads."""
    bases = [
        file.name
        for file in sorted((script.parent / "hparams").glob("*.yaml"))
        if {"model", key} <= read_mapping(file).keys()
    ]
    raise HparamsError(
        f"the recipe file has no key '{key}', which {script.name} needs. Take "
        f"a --base that has it: {', '.join(bases) or 'a copy of ast.yaml'}; a "
        "base of your own needs all keys of such a file"
    )


def check_arguments(function, options):
    """Check that a function takes these arguments.

    Arguments
    ---------
    function : callable
        The recipe's prepare function.
    options : dict
        Its keyword arguments, of the recipe file's key ``prepare``.

    Raises
    ------
    HparamsError
        If not.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise HparamsError(
            f"prepare, in the recipe file: {error}; {function.__name__} takes "
            f"{', '.join(signature.parameters)}"
        ) from error


def check_values(settings):
    """Check that the recipe's values are possible.

    Arguments
    ---------
    settings : dict
        The recipe file's values, with references resolved.

    Raises
    ------
    HparamsError
        If a value is not possible; names the key and the choices.
    """
    for key, (least, most) in NUMBERS.items():
        if key in settings:  # not all recipes have all of them
            _check_number(key, settings[key], least, most)
    for key, choices in CHOICES.items():
        if key in settings and settings[key] not in choices:
            raise HparamsError(
                f"{key} '{settings[key]}' is none of: {', '.join(choices)}"
            )
    best = settings["best_metric"]
    if not (isinstance(best, dict) and {"name", "mode"} == {*best}):
        raise HparamsError(
            f"best_metric is {best!r}: give a name and a mode, such as "
            "'{name: accuracy, mode: max}'"
        )
    if best["mode"] not in ("min", "max"):
        mode = best["mode"]
        raise HparamsError(f"best_metric: mode '{mode}' is neither max nor min")
    if reason := problem(settings, FORM):
        raise HparamsError(f"the recipe file has a wrong value: {reason}")
    for key in TAGGED:
        tag = getattr(settings.get(key), "tag", None)
        if key in settings and not (tag and tag.value):
            raise HparamsError(
                f"{key} is '{settings[key]}': it takes an object, as "
                f"'{key}: !new:...' or '!name:...' in the recipe's ast.yaml"
            )
    _check_folders(settings)
    _check_optimisation(settings)
    _check_cache(settings)
    require_tracker(settings.get("logger", NONE))


def _check_folders(settings):
    """Refuse folders that a run cannot write to, or must not."""
    folder, data = settings["output_folder"], settings["data_folder"]
    if not folder or Path(folder).resolve() == Path(str(data)).resolve():
        raise HparamsError(
            f"output_folder is '{folder}': name a folder of its own, which is "
            "not that of the data"
        )
    for key in FOLDERS:
        _check_folder(key, settings.get(key))


def _check_optimisation(settings):
    """Refuse values that train nothing, or contradict each other."""
    if not settings["lr"]:
        raise HparamsError("lr is 0: nothing would be trained")
    _check_kind("max_grad_norm", settings["max_grad_norm"])
    if not settings["max_grad_norm"] > 0:
        raise HparamsError(
            f"max_grad_norm {settings['max_grad_norm']} must be above 0: "
            "SpeechBrain clips to this norm, a negative value flips all "
            "gradients and 0 zeroes them. '.inf' clips nothing"
        )
    types = settings["precision"], settings.get("backbone_dtype")
    if types == ("fp16", "bfloat16"):
        raise HparamsError(
            "precision fp16 and backbone_dtype bfloat16 do not go together: "
            "take precision bf16 or fp32"
        )


def _check_cache(settings):
    """Refuse what does not go with a feature cache, or needs a cache."""
    for key in CACHES:
        if settings.get(f"{key}_dtype") == "float16" and not settings[key]:
            raise HparamsError(
                f"{key}_dtype float16 is for a cache, and there is none: "
                f"name its folder with --{key} DIR"
            )
    if settings.get("mixup") and settings["feature_cache"]:
        raise HparamsError(
            f"mixup is {settings['mixup']}, and it mixes waveforms: features "
            "in a cache were computed before. Leave out --feature_cache, or "
            "give --mixup 0"
        )


def _check_folder(key, value):
    """Check that a folder is none that a file stands in the way of."""
    if not value:
        return
    folder = Path(value)
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise HparamsError(
            f"{key} is '{folder}', and {there} is no folder: name another "
            f"with --{key}"
        )


def _check_kind(key, value):
    """Check that a value is a number, or a whole number."""
    whole = key in NUMBERS and key not in NO_WHOLE_NUMBERS
    if isinstance(value, bool) or not isinstance(
        value, int if whole else (int, float)
    ):
        words = "a whole number" if whole else "a number"
        raise HparamsError(f"{key} is '{value}': give {words}")


def _check_number(key, value, least, most):
    """Check that a value is a number in its range."""
    _check_kind(key, value)
    if not value >= least:
        raise HparamsError(f"{key} is {value}: at least {least} is needed")
    if most is not None and value > most:
        raise HparamsError(f"{key} is {value}: at most {most} is possible")
