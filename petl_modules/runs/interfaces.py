"""What a run needs of the objects of a recipe file, checked before training."""

import ast
from pathlib import Path

import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.checkpoints import DEFAULT_SAVE_HOOKS, get_default_hook

from petl_modules.training import parameter_groups
from petl_modules.utils import HparamsError, naming

CALL = "__call__"
# What the rooms below and SpeechBrain use of an object. What train.py itself
# uses is read from it (see ``uses``)
NEEDS = {
    "cache": {CALL},
    "checkpointer": {
        *("add_recoverable", "find_checkpoint", "list_checkpoints"),
        *("recover_if_possible", "recoverables", "save_and_keep_only"),
    },
    "epoch_counter": {"__iter__", "current", "limit"},
    "features": {CALL, "sample_rate"},
    "model": {"count_parameters", "encoder", "settings"},
    "opt_class": {CALL},
    "plan": {CALL},
    "timer": {"seconds"},
    "train_batches": {CALL},
    "train_logger": {"log_stats"},
}
# What calls of them must return
MADE = {
    "cache": {"features", "fill"},
    "lr_schedule": {"step"},
    "opt_class": {"param_groups", "register_step_pre_hook", "step"},
    "train_batches": {
        *("__iter__", "__len__", "accumulation", "epoch", "loss_weight"),
        *("rank", "seed", "set_epoch", "updates"),
    },
}


def uses(script):
    """Return what ``train.py`` uses of the recipe file's keys.

    Arguments
    ---------
    script : str
        The recipe's ``train.py``: ``hparams["key"]`` and ``self.hparams.key``
        are what it reads.

    Returns
    -------
    dict
        By key, the names that follow a dot; ``__call__`` if it is called.
    """
    found = {}
    tree = ast.parse(Path(script).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if key := _key(node):
            found.setdefault(key, set())
        if isinstance(node, ast.Attribute) and (key := _key(node.value)):
            found.setdefault(key, set()).add(node.attr)
        if isinstance(node, ast.Call) and (key := _key(node.func)):
            found.setdefault(key, set()).add(CALL)
    return found


def _key(node):
    """Return the recipe file's key that a part of a program reads, or None."""
    of = getattr(node, "value", None)
    if isinstance(node, ast.Subscript) and isinstance(of, ast.Name):
        if of.id == "hparams" and isinstance(node.slice, ast.Constant):
            return node.slice.value
    if isinstance(node, ast.Attribute) and isinstance(of, ast.Attribute):
        if of.attr == "hparams":
            return node.attr
    return None


def check_object(key, thing, needed):
    """Check that an object has what is used of it.

    Arguments
    ---------
    key : str
        The recipe file's key.
    thing : object
        The object.
    needed : iterable of str
        Names of its attributes and methods; ``__call__`` if it is called.

    Raises
    ------
    HparamsError
        If it lacks one.

    Example
    -------
    >>> check_object("timer", [], {"seconds"})
    Traceback (most recent call last):
    petl_modules.utils.errors.HparamsError: timer, in the recipe file: list has no 'seconds'. Take an object like that of the recipe's ast.yaml
    """
    kind = type(thing).__name__
    lacks = sorted(name for name in needed if not hasattr(thing, name))
    if CALL in lacks:
        reason = f"{kind} cannot be called"
    elif lacks:
        reason = f"{kind} has no '{lacks[0]}'"
    elif needed and CALL not in needed and isinstance(thing, type):
        reason = f"{thing.__name__} is a class, of which !new: makes an object"
    else:
        return
    raise HparamsError(
        f"{key}, in the recipe file: {reason}. Take an object like that of "
        "the recipe's ast.yaml"
    )


def check_objects(made, script):
    """Check that the objects of a recipe file have what is used of them.

    Arguments
    ---------
    made : dict
        The objects by key.
    script : str
        The recipe's ``train.py``.

    Raises
    ------
    HparamsError
        If one is of another kind, or a checkpoint cannot save one.
    """
    used = uses(script)
    for key in sorted(NEEDS.keys() | used.keys()):
        if key in made:
            check_object(
                key, made[key], NEEDS.get(key, set()) | used.get(key, set())
            )
    for name, module in made["modules"].items():
        if not isinstance(module, torch.nn.Module):
            check_object(f"modules: {name}", module, {"parameters"})
    model = made["modules"]["model"]
    check_object("modules: model", model, NEEDS["model"])
    if not made["epoch_counter"].limit > 0:
        raise HparamsError(
            "epoch_counter, in the recipe file, counts epochs: it has none"
        )
    saved = made["checkpointer"].recoverables
    if saved.get("model") is not model:
        raise HparamsError(
            "checkpointer, in the recipe file, must save the model of the key "
            "modules: 'recoverables: {model: !ref <model>, ...}'"
        )
    for name, thing in saved.items():
        _check_saved(f"checkpointer: {name}", thing)


def _check_saved(key, thing):
    """Check that a checkpoint can save an object."""
    if get_default_hook(thing, DEFAULT_SAVE_HOOKS) is None:
        raise HparamsError(
            f"{key}, in the recipe file, is a {type(thing).__name__}, which "
            "no checkpoint can save: its class needs SpeechBrain's "
            "register_checkpoint_hooks"
        )


def rehearse(made, script, durations, device):
    """Use the recipe file's objects as training does, on next to nothing.

    What is wrong with them is known before an epoch is trained. The loss
    needs the model's outputs: the first step tries it.

    Arguments
    ---------
    made : dict
        The objects by key.
    script : str
        The recipe's ``train.py``.
    durations : list of float
        Length of each training clip in seconds.
    device : str
        The device of the training.

    Raises
    ------
    HparamsError
        If one fails, or returns something of another kind.
    """
    called = {key for key, names in uses(script).items() if CALL in names}
    with torch.random.fork_rng(devices=[]):
        features = _rehearse_features(made)
        if "augment" in called:
            with naming("augment, in the recipe file"):
                check_object("augment", made["augment"](features), {"shape"})
        _make("train_batches", made, durations)
        with naming("test_loader, in the recipe file"):
            make_dataloader([features], **made["test_loader"])
        if "cache" in called and made["feature_cache"]:
            _make("cache", made)
        _rehearse_update(made, "lr_schedule" in called, device)


def _rehearse_update(made, scheduled, device):
    """Update a weight once, and move the learning rate."""
    weight = torch.nn.Parameter(torch.zeros(1, device=device))
    weight.grad = torch.zeros_like(weight)
    optimizer = _make("opt_class", made, [weight])
    if rates := made.get("lr_by_part"):
        parameter_groups(torch.nn.ModuleDict(made["modules"]), rates)
    if scheduled:  # it watches the optimiser's steps
        schedule = _make("lr_schedule", made, optimizer, T_max=1)
        _check_saved("lr_schedule", schedule)
    with naming("opt_class, in the recipe file"):
        optimizer.step()
    if scheduled:
        with naming("lr_schedule, in the recipe file"):
            schedule.step()


def _rehearse_features(made):
    """Return the features of a batch of two clips of noise."""
    with naming("features, in the recipe file"):
        clip = made["features"](torch.rand(made["features"].sample_rate))
        if not (torch.is_tensor(clip) and clip.dim()):
            raise HparamsError(
                f"features, in the recipe file, make a {type(clip).__name__} "
                "of a clip: they must make a tensor [time, ...]"
            )
        return torch.stack([clip, clip])


def _make(key, made, *arguments, **options):
    """Call the object of a key; the result must be of the kind needed."""
    with naming(f"{key}, in the recipe file"):
        result = made[key](*arguments, **options)
    check_object(key, result, MADE[key])
    return result
