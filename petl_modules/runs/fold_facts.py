"""What a fold's result says of how it came about: clips, machine, code."""

import platform
import resource
import sys

import torch

from petl_modules.utils import commit, n_processes, versions

COUNT = range(1 << 53)
FORM = {
    "clips": {str: COUNT},
    "device": str,
    "processes": range(1, 1 << 53),
    "peak_memory_bytes": COUNT,
    "commit": (str, None),
    "versions": {str: str},
}


class FoldFacts:
    """How a fold came about; the peak of memory is counted from here on.

    Arguments
    ---------
    parts : dict
        Records by id, by part (see ``petl_modules.runs.plan.Fold``).
    device : str or torch.device
        The device that trains.

    Example
    -------
    >>> found = FoldFacts({"train": {"a": {}}, "test": {"b": {}}}, "cpu").read()
    >>> found["clips"], found["processes"]
    ({'train': 1, 'test': 1}, 1)
    """

    def __init__(self, parts, device):
        self.clips = {part: len(records) for part, records in parts.items()}
        self.device = torch.device(device)
        self.commit = commit()  # of the code that this process has read
        if self.device.type == "cuda":
            torch.cuda.init()  # or there is nothing to reset yet, an error
            torch.cuda.reset_peak_memory_stats(self.device)

    def read(self):
        """Return plain data of the form ``FORM``.

        The peak of memory is, on a GPU, that of tensors since this object was
        made; on a CPU that of the whole process since its start. A resumed
        fold has the peak of its last process.
        """
        return {
            "clips": self.clips,
            "device": self._name(),
            "processes": n_processes(),
            "peak_memory_bytes": self._peak(),
            "commit": self.commit,
            "versions": versions(),
        }

    def _name(self):
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{self.device.type} {platform.machine()}"

    def _peak(self):
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
