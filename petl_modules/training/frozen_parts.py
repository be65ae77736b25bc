"""What frozen parts of a model compute: when is it the same in every epoch?"""

from speechbrain.utils.autocast import AMPConfig, TorchAutocast
from speechbrain.utils.run_opts import RunOptions
from torch import nn

from petl_modules.data import Windows


def what_changes(hparams):
    """Return why a clip is not the same in every epoch.

    Arguments
    ---------
    hparams : dict
        The recipe's hyperparameters: ``augment``, and if there are any,
        ``windows`` and ``mixup``.

    Returns
    -------
    str or None
        None: it is the same.
    """
    windows = hparams.get("windows") or Windows()
    if windows.moving:
        return f"windows has train {windows.train}, test {windows.test}"
    if mixup := hparams.get("mixup"):
        return f"mixup is {mixup}, which changes clips in every epoch"
    augment = hparams["augment"]
    if not isinstance(augment, nn.Identity):
        return (
            f"{type(augment).__name__} changes them in every epoch; "
            "--augment '!new:torch.nn.Identity {}' leaves it out"
        )
    return None


def by_precision(datasets, hparams, run_opts):
    """Group the parts of the data by the precision of their forward pass.

    Arguments
    ---------
    datasets : dict
        By part, see ``petl_modules.data.make_datasets``.
    hparams : dict
        The recipe's hyperparameters.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.

    Returns
    -------
    dict
        ``{part: dataset}`` by precision, such as ``bf16``.
    """
    groups = {}
    for part, dataset in datasets.items():
        name = "precision" if part == "train" else "eval_precision"
        precision = _option(name, hparams, run_opts)
        groups.setdefault(precision, {})[part] = dataset
    return groups


def _option(name, hparams, run_opts):
    """Return a run option, with the precedence of ``speechbrain.Brain``."""
    if name in run_opts.overridden_args:
        return run_opts[name]
    return hparams.get(name, RunOptions()[name])


def autocast(device, precision):
    """Return the context of a forward pass of this precision.

    Arguments
    ---------
    device : str
        Where it computes.
    precision : str
        Such as ``bf16``.

    Returns
    -------
    speechbrain.utils.autocast.TorchAutocast
    """
    return TorchAutocast(
        device_type=device.partition(":")[0],
        dtype=AMPConfig.from_name(precision).dtype,
    )
