"""Training time of a fold, summed over interrupted runs."""

import json
import time

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from petl_modules.utils import write_json


@register_checkpoint_hooks
class Timer:
    """Count seconds since construction; checkpoints save them.

    Example
    -------
    >>> Timer().seconds() >= 0
    True
    """

    def __init__(self):
        self.before = 0.0
        self.started = time.monotonic()

    def seconds(self):
        """Return the seconds so far."""
        return self.before + time.monotonic() - self.started

    @mark_as_saver
    def _save(self, path):
        write_json(path, self.seconds())

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        with open(path, encoding="utf-8") as file:
            self.before = json.load(file)
        self.started = time.monotonic()
