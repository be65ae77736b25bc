"""Seeds that are counted, and processes that train together.

Authors
 * The PETL audio recipes team 2026
"""

import gc
import hashlib
import sys

import torch.distributed.nn  # noqa: F401  see leave_group
from torch import distributed


def counted_seed(*numbers):
    """A seed that follows from some numbers alone.

    Example
    -------
    >>> counted_seed(10, 1) == counted_seed(10, 1) != counted_seed(10, 2)
    True
    """
    digest = hashlib.sha256("/".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**63


def n_processes():
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gathered(items):
    """The union of a set over all processes; all of them must call it."""
    sets = [items]
    if n_processes() > 1:
        sets = [None] * n_processes()
        distributed.all_gather_object(sets, items)
    return set().union(*sets)


def leave_group():
    """Leaves the group of processes, whose threads end with it.

    A thread that lets go of a tensor as the interpreter ends would abort the
    process, and none ends while anything holds the group: a wrapped model
    does, and so do the functions of ``torch.distributed.nn`` if it is imported
    after the group was made. Models go first: if one is the last to hold the
    group, it waits for a thread that waits for Python's lock, for ever.
    """
    # The frames of an error hold the model
    sys.last_exc = sys.last_value = sys.last_traceback = None
    gc.collect()
    if distributed.is_initialized():
        distributed.destroy_process_group()
