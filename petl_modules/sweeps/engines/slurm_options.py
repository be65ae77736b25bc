"""Options of ``sbatch``, as a sweep file and the command line give them."""

import math
import re

from petl_modules.utils import HparamsError

TIME = "4:00:00"
SHORTEST = 5  # minutes, of which a job takes one to start
WARNING = 90  # seconds before the end in which a job queues itself again
# Given by the engine; and what to say of them
REFUSED = {
    "array": "each cell is a task of an array",
    "output": "logs are in the sweep's folder",
    "error": "logs are in the sweep's folder",
    "open-mode": "logs of all turns of a cell are kept",
    "job-name": "it tells which cells are in the queue",
    "signal": "it is how a cell is stopped in time",
    "wrap": "each cell has its command",
    "ntasks": "a cell is one task",
    "ntasks-per-node": "a cell is one task",
    "nodes": "a cell is one task",
}
PARTS = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def sbatch_options(given):
    """Return options of ``sbatch`` as parameters of submitit.

    Arguments
    ---------
    given : dict
        Values by option, without dashes in front: ``{"gres": "gpu:1"}``. True
        is for an option without a value.

    Returns
    -------
    dict
        For ``submitit.AutoExecutor.update_parameters``.

    Raises
    ------
    HparamsError
        An option is for the engine alone, or a value cannot be one.

    Example
    -------
    >>> found = sbatch_options({"partition": "gpu", "time": "1-12"})
    >>> found["timeout_min"], found["slurm_additional_parameters"]
    (2160, {'requeue': True, 'partition': 'gpu'})
    """
    options = {"requeue": True}
    for key, value in given.items():
        name = key.replace("_", "-")
        if name in REFUSED:
            raise HparamsError(f"slurm: {key} is not for here: {REFUSED[name]}")
        if not re.fullmatch("[a-z][a-z0-9-]+", name):
            raise HparamsError(
                f"slurm: '{key}' is no long option of sbatch, such as "
                "'partition' or 'mem-per-cpu'"
            )
        if not isinstance(value, (str, int, float)) or value is False:
            raise HparamsError(
                f"slurm: {key} is '{value}': give a text or number, or True "
                "for an option without a value"
            )
        options[name] = value
    minutes = minutes_of(options.pop("time", TIME))
    if minutes < SHORTEST:
        raise HparamsError(
            f"slurm: time is {given['time']}: at least {SHORTEST} minutes are "
            "needed. A cell that takes longer than 'time' goes on in a new turn"
        )
    return {
        "timeout_min": minutes,
        "slurm_signal_delay_s": WARNING,
        "slurm_additional_parameters": options,
        # A step does not inherit it since Slurm 22.05
        "slurm_setup": [
            '[ -z "$SLURM_CPUS_PER_TASK" ] || '
            "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"
        ],
    }


def minutes_of(time):
    """Return a time limit of ``sbatch`` in minutes.

    Arguments
    ---------
    time : str or int
        Minutes, ``minutes:seconds``, ``hours:minutes:seconds``,
        ``days-hours``, ``days-hours:minutes`` or
        ``days-hours:minutes:seconds``.

    Returns
    -------
    int

    Raises
    ------
    HparamsError
        It is none of these.

    Example
    -------
    >>> [minutes_of(x) for x in (90, "90:30", "1:30:00", "1-0", "1-0:10")]
    [90, 91, 90, 1440, 1450]
    """
    found = PARTS.fullmatch(str(time))
    if found is None or isinstance(time, bool):
        raise HparamsError(
            f"slurm: time is '{time}': give minutes, hours:minutes:seconds or "
            "days-hours"
        )
    days, *parts = found.groups()
    parts = [int(part) for part in parts if part is not None]
    if days is not None:  # from the left, hours come first
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, minutes, seconds = 0, *(*parts, 0)[:2]
    total = (int(days or 0) * 24 + hours) * 60 + minutes + seconds / 60
    return math.ceil(total)
