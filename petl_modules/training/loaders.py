"""Data loader of the training part, and how workers send their batches."""

import math
import multiprocessing
import resource
from multiprocessing.reduction import ForkingPickler

import torch
from speechbrain.dataio.dataloader import make_dataloader
from torch.multiprocessing.reductions import reduce_tensor

from petl_modules.data import ClipDataset
from petl_modules.utils import HparamsError


def make_train_loader(brain, dataset, train_batches, options):
    """Make a Brain's sampler and training loader.

    Checkpoints save the loader's position in the epoch. A ``ClipDataset`` gets
    the epoch from the sampler.

    Arguments
    ---------
    brain : speechbrain.Brain
        The Brain; its ``train_sampler`` is set.
    dataset : torch.utils.data.Dataset
        The training part. A sampler that needs ``durations`` gets those of a
        ``ClipDataset``; of others, they are not known.
    train_batches : callable
        Makes the sampler from the durations.
    options : dict
        Further options of the loader.

    Returns
    -------
    speechbrain.dataio.dataloader.SaveableDataLoader

    Raises
    ------
    HparamsError
        If an epoch has too few batches for one update, if clips are to be
        mixed that are no waveforms any more, if a loader has no such options,
        or if its workers would not learn the epoch.
    """
    unknown = [math.nan] * len(dataset)
    sampler = train_batches(getattr(dataset, "durations", unknown))
    if not sampler.updates:
        raise HparamsError(
            f"grad_accumulation_factor {sampler.accumulation} is larger than "
            f"the {len(sampler)} batches of an epoch: nothing would be trained"
        )
    if isinstance(dataset, ClipDataset):
        dataset.epoch_of = sampler
        if dataset.takes_epoch and options.get("persistent_workers"):
            raise HparamsError(
                "train_loader: persistent_workers True keeps workers that know "
                "the first epoch only, and random windows differ by epoch. "
                "Leave it out"
            )
    if getattr(sampler, "mixup", 0) and getattr(dataset, "mix", None) is None:
        raise HparamsError(
            f"mixup is {sampler.mixup}, and it mixes waveforms: the features "
            "here were computed before. Leave out feature_cache, or give "
            "--mixup 0"
        )
    try:
        loader = make_dataloader(dataset, batch_sampler=sampler, **options)
    except (TypeError, ValueError) as error:
        raise HparamsError(f"train_loader, {options}: {error}") from error
    brain.train_sampler = sampler
    brain.checkpointer.add_recoverable("train_loader", loader)
    return loader


def prepare_workers(number):
    """Let a loader's workers send batches where memory or files are scarce.

    A batch's tensors go through shared memory, each as an open file. Where
    ``/dev/shm`` is full (Docker's has 64 MB) or few files may be open, PyTorch
    would wait for ever; here the tensors go through the worker's pipe instead,
    which is slower.

    Arguments
    ---------
    number : int
        How many workers a loader has.

    Raises
    ------
    HparamsError
        There are not enough semaphores, which all workers need.
    """
    if not number:
        return
    # Of the queues of two loaders: that of the training stays in the evaluation
    needed = 2 * (3 * number + 9)
    try:
        [multiprocessing.Lock() for _ in range(needed)]
    except (OSError, ImportError) as error:
        raise HparamsError(
            f"num_workers {number} needs {needed} semaphores, which Linux "
            f"keeps in /dev/shm, and they cannot be made here ({error}). Give "
            "--num_workers 0, or more room there (docker run --shm-size 1g)"
        ) from error
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = files == resource.RLIM_INFINITY or files >= 64 + 16 * number
    ForkingPickler.register(torch.Tensor, _sent if enough else _by_value)


def _sent(tensor):
    """Reduce a tensor, for pickle, to its place in shared memory."""
    try:
        tensor.share_memory_()
    except RuntimeError:  # it is full
        return _by_value(tensor)
    return reduce_tensor(tensor)


def _by_value(tensor):
    """Reduce a tensor, for pickle, to its bytes."""
    flat = tensor.detach().contiguous().reshape(-1)
    content = flat.view(torch.uint8).numpy()
    return _restore, (content, tensor.dtype, tensor.shape)


def _restore(content, dtype, shape):
    """Return the tensor of ``_by_value``."""
    if not content.size:
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(content).view(dtype).reshape(shape)
