"""Failures of memory, workers or other processes, as one line of advice."""

import re
import traceback
from multiprocessing import synchronize

import torch
from torch import distributed

from petl_modules.utils import UserError

RESUME = "the same command resumes from the last checkpoint"
MEMORY = (
    "memory is full ({}). Try a smaller --batch_size or --test_batch_size, "
    "--recompute layer, or fewer --num_workers; " + RESUME
)
WORKER = (
    "a worker of the loader has ended ({}). If nothing above says why, memory "
    "was short: try fewer --num_workers, or --num_workers 0; " + RESUME
)
OTHER = (
    "another process of this run has ended, or cannot be reached ({}). See "
    "what it said; " + RESUME
)
FILES = (
    "{}. Allow more open files (ulimit -n 4096), or give --num_workers 0; "
    + RESUME
)
SHARED = (
    "{}: /dev/shm is too small for the loader's workers. Make it larger "
    "(docker run --shm-size 1g), or give --num_workers 0; " + RESUME
)
THREADS = (
    "{}: the limit of processes or of memory is reached (ulimit -u, ulimit "
    "-v). Raise it, or give --num_workers 0; " + RESUME
)
# What the libraries say of it
TEXTS = {
    r"(unable to (?:allocate|open) shared memory)": SHARED,
    r"DataLoader worker \(pid(?:\(s\))?[^)]*\)(.*)": WORKER,
    r"(can't allocate memory|not enough memory|out of memory)": MEMORY,
    r"(can't start new thread)": THREADS,
}


def failure_text(error):
    """Return what a user or a machine did wrong as one text.

    Arguments
    ---------
    error : Exception
        The error.

    Returns
    -------
    str or None
        None: it is none of theirs, but a bug.

    Example
    -------
    >>> failure_text(UserError("no such file"))
    'no such file'
    >>> failure_text(KeyError("a"))
    """
    text = str(error)
    if text.startswith("Caught "):  # by a loader's worker, with traceback
        text = text.rstrip().rpartition(f"{type(error).__name__}: ")[2]
    if isinstance(error, OSError) and "Too many open files" in text:
        return FILES.format(text)
    if isinstance(error, OSError) and _in_semaphore(error):
        return SHARED.format(text)
    if isinstance(error, (UserError, OSError)):
        return text
    first = text.strip().partition("\n")[0]
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return MEMORY.format(first or "the system gives no more")
    if not isinstance(error, RuntimeError):
        return None
    for pattern, answer in TEXTS.items():
        if found := re.search(pattern, text):
            return answer.format(found[1].strip(" :.").partition("\n")[0])
    network = isinstance(error, distributed.DistError)
    if distributed.is_initialized() and (network or "gloo" in text):
        return OTHER.format(first[:200])
    return None


def _in_semaphore(error):
    """Tell whether the system has refused a semaphore, which names no file."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == synchronize.__file__
