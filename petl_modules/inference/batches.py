"""Run a model on many sounds, in batches that are read ahead by threads."""

from functools import partial
from typing import NamedTuple

import torch
from speechbrain.utils.logger import get_logger

from petl_modules.data import window_features
from petl_modules.data.loading import one_thread
from petl_modules.inference.prefetch import padded, prefetched
from petl_modules.utils import AudioError, HparamsError, problem

logger = get_logger(__name__)
BATCH = 16  # sounds of a batch
SPAN = 4  # batches whose sounds are put in the order of their lengths
SECONDS = 30  # of a padded batch for each of its sounds, at most


class Prepared(NamedTuple):
    """A sound that is ready for the model, or what is wrong with it."""

    name: str
    features: torch.Tensor = None  # [time, ...], or [windows, time, ...]
    seconds: float = 0.0
    remarks: tuple = ()
    error: AudioError = None


def outputs_of(trained, compute, items, read, size=BATCH):
    """Yield the outputs for each item, in order; warn of what is odd.

    An item's outputs do not depend on the others of its batch, but for
    rounding.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.
    compute : callable
        Maps ``[batch, time, ...]`` and relative lengths to ``[batch,
        outputs]``.
    items : iterable of tuple
        A name, and what ``read`` takes.
    read : callable
        Returns an item's ``Clip``.
    size : int
        Items of a batch.

    Yields
    ------
    name : str
    outputs : torch.Tensor or AudioError
        ``[outputs]``, or why there are none.
    """
    windows = trained.windows.test
    size = max(1, size // (1 if windows == "whole" else windows))
    work = partial(_prepare, trained, read)
    for part in _parts(prefetched(work, items, SPAN * size), size):
        good = [sound for sound in part if sound.error is None]
        found = {}
        for places in _batches(good, size):
            features = [good[place].features for place in places]
            outputs = _run(trained, compute, features)
            found.update(zip((id(good[place]) for place in places), outputs))
        for sound in part:
            warn(sound.name, sound.remarks)
            yield sound.name, sound.error or _checked(found, sound)


def require_counts(**values):
    """Check that values are whole numbers from 1.

    Raises
    ------
    HparamsError
        If one is not.
    """
    forms = dict.fromkeys(values, range(1, 1 << 31))
    if reason := problem(values, forms):
        raise HparamsError(reason)


def warn(name, remarks):
    """Log what is odd about a sound."""
    for remark in remarks:
        logger.warning(f"{name}: {remark}")


def not_finite(name):
    """Return the error for a sound of which a model makes no numbers."""
    return AudioError(
        f"{name}: the model's outputs for it are not finite, so it has no "
        "class. Is the sound far louder than those of training?"
    )


def _checked(found, sound):
    """Return a sound's outputs, or an error if they are not finite."""
    outputs = found[id(sound)]
    return outputs if outputs.isfinite().all() else not_finite(sound.name)


def _prepare(trained, read, item):
    """Return an item as ``Prepared``."""
    name, _ = item
    try:
        clip = read(item)
    except AudioError as error:
        return Prepared(name, error=error)
    rate = trained.features.sample_rate
    with one_thread():
        features = window_features(
            trained.windows, trained.features, clip.samples
        )
    return Prepared(name, features, len(clip.samples) / rate, clip.remarks)


@torch.inference_mode()
def _run(trained, compute, features):
    """Return the outputs of a batch, ``[batch, outputs]``."""
    batch, lengths = padded(features)
    batch = batch.to(trained.device)
    lengths = None if lengths is None else lengths.to(trained.device)
    return trained.windows.average(compute, batch, lengths).float().cpu()


def _parts(sounds, size):
    """Yield consecutive sounds, as many as are put into batches together.

    Sounds of one length fill a batch as they come. Of others some more are
    taken, so that a batch has those of similar length.
    """
    part, lengths = [], set()
    for sound in sounds:
        part.append(sound)
        if sound.error is None:
            lengths.add(len(sound.features))
        if len(part) >= (size if len(lengths) < 2 else SPAN * size):
            yield part
            part, lengths = [], set()
    if part:
        yield part


def _batches(sounds, size):
    """Yield the places of sounds in batches of similar length."""
    rest = sorted(range(len(sounds)), key=lambda i: -len(sounds[i].features))
    while rest:
        fit = size
        if longest := sounds[rest[0]].seconds:
            fit = max(1, min(size, int(size * SECONDS / longest)))
        yield rest[:fit]
        rest = rest[fit:]
