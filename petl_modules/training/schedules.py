"""Learning rates, stepped at each update."""

import math
from functools import partial

from torch.optim.lr_scheduler import LambdaLR, MultiStepLR

from petl_modules.utils import HparamsError


def epoch_steps(optimizer, T_max, *, epochs, first, last, gamma):
    """Return a schedule that multiplies the learning rate after some epochs.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        The optimiser.
    T_max : int
        Number of updates of the training.
    epochs : int
        Number of epochs of the training.
    first, last : int
        It changes after each epoch from the first to the last of these.
    gamma : float
        What it is multiplied by.

    Returns
    -------
    torch.optim.lr_scheduler.MultiStepLR

    Example
    -------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> schedule = epoch_steps(
    ...     optimizer, T_max=40, epochs=4, first=1, last=2, gamma=0.5
    ... )
    >>> sorted(schedule.milestones)
    [10, 20]
    """
    updates = T_max // epochs
    steps = [epoch * updates for epoch in range(first, last + 1)]
    return MultiStepLR(optimizer, steps, gamma)


def warm_cosine(optimizer, T_max, *, warm_up):
    """Return a schedule that rises linearly, then falls to 0 by a cosine.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        The optimiser.
    T_max : int
        Number of updates of the training.
    warm_up : float
        Share of the updates in which the learning rate rises. 0: it starts
        at its largest value, as ``CosineAnnealingLR``.

    Returns
    -------
    torch.optim.lr_scheduler.LambdaLR

    Raises
    ------
    HparamsError
        ``warm_up`` is no share.

    Example
    -------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> schedule = warm_cosine(optimizer, T_max=4, warm_up=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += [round(rate, 2) for rate in schedule.get_last_lr()]
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if not 0 <= warm_up < 1:
        raise HparamsError(f"warm_up is {warm_up}: give a share, below 1")
    rising = round(warm_up * T_max)
    return LambdaLR(optimizer, partial(_factor, rising, T_max))


def _factor(rising, total, update):
    """Return the factor of the learning rate at an update, from 0."""
    if update < rising:
        return (update + 1) / rising
    place = min(1.0, (update - rising) / max(1, total - rising))
    return (1 + math.cos(math.pi * place)) / 2
