"""Prepare items ahead, in threads, and put their features into a batch."""

import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

WORKERS = min(4, os.cpu_count() or 1)  # threads


def prefetched(work, items, ahead):
    """Yield the results of some work, in order, done ahead by threads.

    Arguments
    ---------
    work : callable
        Called with each item.
    items : iterable
        Taken as they are needed.
    ahead : int
        How many results may wait.

    Yields
    ------
    object

    Example
    -------
    >>> [*prefetched(abs, [-1, 2, -3], ahead=2)]
    [1, 2, 3]
    """
    items = iter(items)
    first = [*itertools.islice(items, 2)]
    if len(first) < 2:  # threads gain nothing
        yield from map(work, first)
        return
    items = itertools.chain(first, items)
    pool, waiting = ThreadPoolExecutor(WORKERS), deque()
    try:
        for item in itertools.islice(items, ahead):
            waiting.append(pool.submit(work, item))
        while waiting:
            result = waiting.popleft().result()
            for item in itertools.islice(items, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def padded(features):
    """Return features as one batch, and their relative lengths.

    Arguments
    ---------
    features : list of torch.Tensor
        Each ``[time, ...]``.

    Returns
    -------
    batch : torch.Tensor
        ``[batch, time, ...]``, with zeros behind shorter ones.
    lengths : torch.Tensor or None
        None: all have the same length.

    Example
    -------
    >>> padded([torch.ones(1), torch.ones(2)])
    (tensor([[1., 0.],
            [1., 1.]]), tensor([0.5000, 1.0000]))
    """
    lengths = [len(one) for one in features]
    longest = max(lengths)
    if min(lengths) == longest:
        return torch.stack(features), None
    batch = [
        F.pad(one, (0, 0) * (one.dim() - 1) + (0, longest - len(one)))
        for one in features
    ]
    return torch.stack(batch), torch.tensor(lengths) / longest
