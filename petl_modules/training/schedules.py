"""Learning rates, stepped at each update."""

from torch.optim.lr_scheduler import MultiStepLR


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
