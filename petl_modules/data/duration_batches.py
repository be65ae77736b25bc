"""Training batches of bounded length, of seed, epoch and rank alone."""

import math

import torch
from speechbrain.utils.distributed import get_rank

from petl_modules.utils import HparamsError, counted_seed, n_processes

WIDEST = 1.2  # the longest clip of a group over its shortest


def durations_of(records):
    """Return the lengths of clips in seconds, in their order.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.

    Returns
    -------
    list of float
        Not a number where it is not known.
    """
    return [record.get("duration", math.nan) for record in records.values()]


class DurationBatches(torch.utils.data.Sampler):
    """Shuffle clips into batches of similar, bounded length.

    The clips are sorted into groups of similar durations. In each epoch the
    clips of each group are shuffled and split evenly into as few batches as
    the bound allows, and the batches of all groups are shuffled. The order
    depends on seed and epoch alone, and the number of batches on neither. The
    clips of a step are split among the processes, each clip once. A process
    without a clip gets one that does not count, so that all processes take
    the step.

    Arguments
    ---------
    durations : list of float
        Length of each clip in seconds.
    seconds : float
        The longest batch of one process: its longest clip times its number of
        clips. A longer clip is a batch of its own.
    seed : int
        The run's seed.
    accumulation : int
        Steps whose gradients make one update.

    Raises
    ------
    HparamsError
        A duration or the bound is no number above 0.

    Example
    -------
    >>> batches = DurationBatches([9.0, 2.0, 2.2, 2.1], seconds=4.5, seed=1)
    >>> sorted(len(batch) for batch in batches)
    [1, 1, 2]
    """

    def __init__(self, durations, seconds, seed, accumulation=1):
        for name, values in (
            ("a duration is", durations),
            ("batch_seconds is", [seconds]),
        ):
            if wrong := [x for x in values if not 0 < x < math.inf]:
                raise HparamsError(f"{name} {wrong[0]}: give a number above 0")
        self.seed = seed
        self.accumulation = accumulation
        self.rank, self.processes = get_rank() or 0, n_processes()
        self.groups = self._groups(durations, seconds)
        self.set_epoch(1)

    def set_epoch(self, epoch):
        """Choose the epoch, from 1."""
        self.epoch, self.dealt = epoch, None

    def steps(self):
        """Return the clips of each step of the epoch, of all processes."""
        if self.dealt is None:
            generator = torch.Generator()
            generator.manual_seed(counted_seed(self.seed, self.epoch))

            def shuffled(things):
                order = torch.randperm(len(things), generator=generator)
                return [things[i] for i in order.tolist()]

            batches = []
            for clips, count in self.groups:
                clips = shuffled(clips)
                batches += [clips[i::count] for i in range(count)]
            self.dealt = shuffled(batches)
        return self.dealt

    def _groups(self, durations, seconds):
        """Return groups of similar clips, and their numbers of batches."""
        groups = []
        for clip in sorted(range(len(durations)), key=lambda i: -durations[i]):
            if groups and durations[clip] * WIDEST >= durations[groups[-1][0]]:
                groups[-1].append(clip)
            else:
                groups.append([clip])
        numbers = []
        for clips in groups:
            fit = max(1, int(seconds / durations[clips[0]])) * self.processes
            numbers.append(-(-len(clips) // fit))
        return list(zip(groups, numbers))

    def __len__(self):
        return sum(count for _, count in self.groups)

    def __iter__(self):
        for batch in self.steps():
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
            Factor of the sum of these clips' losses, see
            ``EpochBatches.loss_weight``.
        """
        steps = self.steps()
        count = len(steps[step - 1][self.rank :: self.processes])
        start = (step - 1) - (step - 1) % self.accumulation
        update = sum(map(len, steps[start : start + self.accumulation]))
        return count, self.processes * self.accumulation / update
