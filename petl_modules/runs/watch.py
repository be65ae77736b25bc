"""Watch over the processes of a run: none hangs, and none is left behind."""

import functools
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from speechbrain.utils.logger import get_logger
from torch import distributed

logger = get_logger(__name__)

PERIOD = 5  # seconds between two looks
PATIENCE = 6  # looks at a stopped process before it is given up


class Watch(threading.Thread):
    """A thread that looks at the processes around this one.

    A stopped worker of a loader is killed, which ends the run with an error.
    If another process of a distributed run is stopped, or torchrun has ended,
    this process ends. Processes that are merely slow are left alone: only
    their state counts (on Linux; elsewhere only torchrun is watched).

    Arguments
    ---------
    period : float
        Seconds between two looks.
    """

    def __init__(self, period=PERIOD):
        super().__init__(name="watch", daemon=True)
        self.period = period
        self.launcher, self.others = None, set()
        if distributed.is_initialized():
            self.launcher = os.getppid()
            self.others = _others()
        self.stopped = Counter()  # number of successive looks, by process

    def run(self):
        """Look once a period, until the process ends."""
        while True:
            time.sleep(self.period)
            self.look()

    def look(self):
        """Check the workers, the other processes and the launcher once."""
        if self.launcher not in (None, os.getppid()):
            _end("torchrun has ended, and so does this process of its run")
        stopped = [
            process
            for process, (state, parent) in processes().items()
            if state == "T"
            and (parent == os.getpid() or process in self.others)
        ]
        self.stopped = Counter({p: self.stopped[p] + 1 for p in stopped})
        seconds = round(PATIENCE * self.period)
        for process in stopped:
            if self.stopped[process] < PATIENCE:
                continue
            if process in self.others:
                _end(
                    f"process {process} of this run has been stopped for "
                    f"{seconds} s"
                )
            logger.warning(
                f"process {process}, a worker of this run, has been stopped "
                f"for {seconds} s and is ended"
            )
            os.kill(process, signal.SIGKILL)


@functools.cache
def start_watch():
    """Start the watch of this process, once."""
    Watch().start()


def processes():
    """Return state and parent of each process, as far as the system tells.

    Returns
    -------
    dict
        From process to, for example, ``("R", 1234)``.
    """
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The program's name is in brackets and may hold any byte
            text = file.read_text("latin-1")
            state, parent = text.rpartition(")")[2].split()[:2]
        except OSError:  # the process has ended
            continue
        found[int(file.parent.name)] = state, int(parent)
    return found


def _others():
    """Return the other processes of this run that are on this machine."""
    found = [None] * distributed.get_world_size()
    here = socket.gethostname()
    distributed.all_gather_object(found, (here, os.getpid()))
    return {p for host, p in found if host == here} - {os.getpid()}


def _end(text):
    """End this process at once; its main thread may wait for others."""
    print(
        f"error: {text}. The same command resumes from the last checkpoint",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
