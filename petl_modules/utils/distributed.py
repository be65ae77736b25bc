"""Random seeds, and processes that train together."""

import gc
import hashlib
import sys

import torch.distributed.nn  # noqa: F401  see leave_group
from torch import distributed


def counted_seed(*numbers):
    """Return a random seed that depends on the given numbers alone.

    Example
    -------
    >>> counted_seed(10, 1) == counted_seed(10, 1) != counted_seed(10, 2)
    True
    """
    digest = hashlib.sha256("/".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**63


def n_processes():
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def leave_group():
    """Destroy the process group before the interpreter shuts down.

    Otherwise Gloo's threads release tensors while the interpreter ends, and
    abort the process. Models go first, and with them all references to the
    group: the last reference joins the group's threads while it holds Python's
    lock, and those threads wait for that lock. ``torch.distributed.nn`` is
    imported above because its functions would keep the group if the import
    came after the group was made.
    """
    # The stack frames of an uncaught error hold references to the model
    sys.last_exc = sys.last_value = sys.last_traceback = None
    gc.collect()
    if distributed.is_initialized():
        distributed.destroy_process_group()
