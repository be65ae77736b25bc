"""Training of upper layers on hidden states that are kept on the disk.

What enters the lowest trained layer is the same in every epoch, fold and run of
one encoder, if nothing changes a clip between epochs: it is computed once.
"""

import math
import shutil
from pathlib import Path

from speechbrain.utils.distributed import infer_device, run_on_main
from speechbrain.utils.logger import get_logger

from petl_modules.models import Probe, TunedEncoder, UpperLayers
from petl_modules.training.frozen_parts import by_precision, what_changes
from petl_modules.training.hidden_states import HiddenStates
from petl_modules.utils import DataError

logger = get_logger(__name__)


def obstacle(hparams):
    """Return why the hidden states of clips cannot be kept.

    Arguments
    ---------
    hparams : dict
        The recipe's hyperparameters.

    Returns
    -------
    str or None
        None: they can.
    """
    encoder = hparams["model"].encoder
    if not isinstance(encoder, TunedEncoder):
        return "the whole encoder is trained"
    if encoder.layers_read() is None:
        return (
            "train_norms or train_backbone trains what is in front of the "
            "layers"
        )
    return what_changes(hparams)


def keep_hidden(
    datasets, hparams, run_opts, *, folder, dtype="float32", max_bytes=math.inf
):
    """Train on stored hidden states, if that is possible.

    Call this function before the Brain and the loaders are made. A debug run,
    which reads a few batches only, keeps nothing.

    Arguments
    ---------
    datasets : dict
        See ``petl_modules.data.make_datasets``.
    hparams : dict
        The recipe's hyperparameters. Not changed.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.
    folder : str or pathlib.Path
        Folder of all hidden states. Those of each encoder, layer, precision
        and kind of features have a subfolder.
    dtype : str
        ``float32``: values come back bit for bit. ``float16``: half the
        space, values rounded to 11 binary digits.
    max_bytes : float
        The largest size of the folder. If it would grow beyond, nothing is
        added, and hidden states are computed in every step.

    Returns
    -------
    tuple of dict
        The datasets and hyperparameters to train with. If hidden states are
        kept: datasets of them, and ``UpperLayers`` of the model as
        ``modules``. Otherwise both are returned unchanged.

    Raises
    ------
    DataError
        The disk has not enough room, or values are too large for ``float16``.
    PermissionError
        The folder cannot be written to.
    """
    if run_opts.debug or isinstance(hparams["modules"]["model"], Probe):
        return datasets, hparams
    if reason := obstacle(hparams):
        logger.info(f"hidden states are not kept: {reason}")
        return datasets, hparams
    device = run_opts.device or infer_device()
    upper = UpperLayers(hparams["model"].to(device).eval())
    groups = by_precision(datasets, hparams, run_opts)
    states = {
        precision: HiddenStates(
            upper, parts.values(), precision, device, hparams, folder, dtype
        )
        for precision, parts in groups.items()
    }
    if not run_on_main(has_room, [states.values(), folder, max_bytes]):
        return datasets, hparams
    kept = dict(datasets)
    for precision, parts in groups.items():
        read = states[precision].reader(run_on_main(states[precision].fill))
        logger.info(f"layers from {upper.start} on read {read.store.folder}")
        for part, dataset in parts.items():
            kept[part] = dataset.with_features(read, ["digest"])
    return kept, {**hparams, "modules": {**hparams["modules"], "model": upper}}


def has_room(states, folder, max_bytes):
    """Tell how much is to be stored, and return whether that is allowed.

    Arguments
    ---------
    states : iterable of HiddenStates
        What is to be stored.
    folder, max_bytes
        See ``keep_hidden``.

    Returns
    -------
    bool
        False: the folder would grow too large.

    Raises
    ------
    DataError
        The disk has not enough room.
    """
    folder, more, clips = Path(folder).absolute(), 0, 0
    for each in states:
        count, size = each.count_missing()
        clips, more = clips + count, more + size
    if not clips:
        return True
    files = [file.stat().st_size for file in folder.glob("*/*.safetensors")]
    told = (
        f"hidden_cache: the hidden states of {clips} clips take about "
        f"{_size(more)}; {folder} has {_size(sum(files))}"
    )
    if sum(files) + more > max_bytes:
        logger.info(
            f"{told}, and cache_bytes allows {_size(max_bytes)}: hidden states "
            "are computed in every step"
        )
        return False
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if more > free:
        raise DataError(
            f"{told}, and its disk {_size(free)} free: make room there, name "
            "another hidden_cache, or leave it out"
        )
    logger.info(told)
    return True


def _size(count):
    """Return a number of bytes in words.

    Example
    -------
    >>> _size(1_812_480), _size(3.6e9)
    ('1.8 MB', '3.6 GB')
    """
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{count / unit:,.1f} {name}"
