"""Losses that are not finite, found without waiting for the device.

Authors
 * The PETL audio recipes team 2026
"""

import math

import torch
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


class LossWatch:
    """Looks at the losses of a training now and then.

    To read a loss is to wait for the device that computes it, so several are
    read at a time; each comes with the step and the clips it belongs to.

    Arguments
    ---------
    patience : int
        How many steps of an epoch may have a loss that is not finite.
    every : int
        How many steps pass between two looks.

    Example
    -------
    >>> watch = LossWatch(patience=0, every=20)
    >>> watch.add("step 1", ["dog"], torch.tensor(0.5))
    >>> watch.add("step 2", ["cat"], torch.tensor(0.25))
    >>> watch.look()
    >>> watch.mean
    0.375
    """

    def __init__(self, patience, every):
        self.patience = patience
        self.every = every
        self.reset()

    def reset(self):
        """Starts an epoch."""
        self.steps = []
        self.bad = 0
        self.looked_at = 0
        self.mean = 0.0  # of the finite losses looked at

    def add(self, step, clips, loss):
        """Takes in one step.

        Arguments
        ---------
        step : str
            What to call it.
        clips : list of str
            Its clips.
        loss : torch.Tensor
            Its loss, a scalar on any device.

        Raises
        ------
        ValueError
            See ``look``.
        """
        self.steps.append((step, clips, loss.detach()))
        if len(self.steps) >= self.every:
            self.look()

    def look(self):
        """Reads the losses since the last look.

        Raises
        ------
        ValueError
            If one is not finite and no patience is left; names the step and
            its clips.
        """
        if not self.steps:
            return
        steps, self.steps = self.steps, []
        losses = torch.stack([loss for _, _, loss in steps]).tolist()
        for (step, clips, _), loss in zip(steps, losses):
            if math.isfinite(loss):
                self.looked_at += 1
                self.mean += (loss - self.mean) / self.looked_at
                continue
            self.bad += 1
            told = f"the loss is {loss} in {step}; its clips: "
            told += f"{', '.join(clips)}. "
            if self.bad > self.patience:
                raise ValueError(
                    f"{told}Try a smaller lr, or fp32 where it computes in "
                    "fewer bits; --nonfinite_patience N leaves out N such "
                    "steps of an epoch"
                )
            logger.warning(f"{told}Nothing is learnt from this step")
