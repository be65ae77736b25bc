"""Batch samplers; in training, of seed, epoch and rank alone.

There is no RNG state to restore on resume.
"""

import torch
from speechbrain.utils.distributed import get_rank

from petl_modules.data.mixup import draw_mixes
from petl_modules.utils import HparamsError, counted_seed, n_processes


class EpochBatches(torch.utils.data.Sampler):
    """Shuffle the clips in each epoch and split them into batches.

    The order depends on seed and epoch alone. The clips of a step are split
    among the processes, each clip once. In the last step, a process without a
    clip gets one that does not count, so that all processes take the step.

    Arguments
    ---------
    durations : list of float
        Length of each clip in seconds. Here their number alone counts.
    batch_size : int
        Clips of one process in a step.
    seed : int
        The run's seed.
    accumulation : int
        Steps whose gradients make one update.
    mixup : float
        Probability of a clip to be mixed with another. Above 0, the batches
        hold a ``petl_modules.data.Mix`` in place of each index.

    Raises
    ------
    HparamsError
        If ``mixup`` is no probability.

    Example
    -------
    >>> batches = EpochBatches([1.0] * 5, batch_size=2, seed=10)
    >>> [len(batch) for batch in batches]
    [2, 2, 1]
    """

    def __init__(self, durations, batch_size, seed, accumulation=1, mixup=0.0):
        number = isinstance(mixup, (int, float))
        if not (number and 0 <= mixup <= 1):
            raise HparamsError(
                f"mixup is {mixup}: it is a probability, from 0 to 1"
            )
        self.size = len(durations)
        self.mixup = mixup
        self.seed = seed
        self.accumulation = accumulation
        self.epoch = 1
        self.rank, self.processes = get_rank() or 0, n_processes()
        self.together = batch_size * self.processes

    def set_epoch(self, epoch):
        """Choose the epoch, from 1."""
        self.epoch = epoch

    def __len__(self):
        return -(-self.size // self.together)

    def __iter__(self):
        generator = torch.Generator()
        generator.manual_seed(counted_seed(self.seed, self.epoch))
        order = torch.randperm(self.size, generator=generator).tolist()
        if self.mixup:
            order = draw_mixes(order, self.mixup, self.seed, self.epoch)
        for start in range(0, self.size, self.together):
            batch = order[start : start + self.together]
            yield batch[self.rank :: self.processes] or batch[:1]

    @property
    def updates(self):
        """Number of updates of the weights in an epoch."""
        return len(self) // self.accumulation

    def loss_weight(self, step):
        """Return the weight of this process's losses in a step.

        Arguments
        ---------
        step : int
            The step of the epoch, from 1.

        Returns
        -------
        count : int
            Number of clips of the batch that count.
        weight : float
            Factor of the sum of these clips' losses. SpeechBrain divides the
            loss by ``accumulation``, and DDP averages over the processes. The
            gradient is then that of the mean over all clips of the update.
        """
        start = (step - 1) * self.together
        total = min(self.together, self.size - start)
        count = len(range(self.rank, total, self.processes))
        start -= start % (self.together * self.accumulation)
        update = min(self.together * self.accumulation, self.size - start)
        return count, self.processes * self.accumulation / update


class BoundedBatches(torch.utils.data.Sampler):
    """Split clips into batches of bounded length, for evaluation.

    Each process of a distributed run gets clips of its own.

    Arguments
    ---------
    durations : list of float
        Length of each clip in seconds, the longest first.
    seconds : float
        The longest batch: its longest clip times its number of clips. A
        longer clip is a batch of its own.
    batch_size : int
        The largest number of clips.

    Example
    -------
    >>> list(BoundedBatches([9.0, 4.0, 3.0, 2.0], seconds=8.0, batch_size=8))
    [[0], [1, 2], [3]]
    """

    def __init__(self, durations, seconds, batch_size):
        clips = range(get_rank() or 0, len(durations), n_processes())
        self.batches = []
        for clip in clips:
            batch = self.batches[-1] if self.batches else []
            longest = durations[(batch or [clip])[0]]
            fits = (len(batch) + 1) * longest <= seconds
            if batch and fits and len(batch) < batch_size:
                batch.append(clip)
            else:
                self.batches.append([clip])

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)
