"""What trackers have of a fold, read from their own files; and stand-ins."""

import json
import re
import sqlite3
import struct
from types import SimpleNamespace

BLOCK = 32768  # bytes; wandb's files have the form of LevelDB's logs
HEAD = 7  # bytes of wandb's mark, and of the head of a piece


def tensorboard_values(fold):
    """Values by step of each name, such as ``loss/train``."""
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    # Points that others are logged over would be read, too
    events = EventAccumulator(
        str(fold / "tensorboard"), purge_orphaned_data=False
    ).Reload()
    found = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    return {
        "/".join(reversed(tag.split("/"))): points
        for tag, points in found.items()
    }


def wandb_values(fold):
    """Values by step of each name, in the newest run folder of wandb."""
    from wandb.proto.wandb_internal_pb2 import Record

    *_, newest = sorted(fold.glob("wandb/offline-run-*/*.wandb"))
    found, parts = {}, b""
    for kind, piece in _pieces(newest.read_bytes()):
        parts = piece if kind in (1, 2) else parts + piece
        if kind in (2, 3):  # goes on
            continue
        record = Record.FromString(parts)
        for item in record.history.item:
            name = item.key or "/".join(item.nested_key)
            if not name.startswith("_"):
                point = (record.history.step.num, json.loads(item.value_json))
                found.setdefault(name.replace(".", "/"), []).append(point)
    return found


def _pieces(content):
    """Yield kind and content of the pieces of records."""
    place = HEAD
    while place + HEAD <= len(content):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        place += HEAD
        yield kind, content[place : place + size]
        place += size


def trackio_values(file):
    """Values by step of each name, in the database of a project with one run."""
    with sqlite3.connect(file) as database:
        rows = database.execute(
            "select step, metrics, run_id from metrics order by id"
        ).fetchall()
    assert len({run for *_, run in rows}) == 1
    found = {}
    for step, values, _ in rows:
        for name, value in json.loads(values).items():
            found.setdefault(name, []).append((step, value))
    return found


def text_values(fold):
    """Values by step of each name, in ``train_log.txt``, as trackers name them.

    An epoch that is there twice counts once. Tests belong to the step after the
    last epoch.
    """
    epochs, tests = {}, []
    for line in (fold / "train_log.txt").read_text("utf-8").splitlines():
        values = dict(x.split(": ") for x in re.split(", | - ", line))
        if values.pop("selected", None):
            tests.append(values)
        else:
            epochs[int(values["epoch"])] = values
    found = {}
    for epoch, values in epochs.items():
        for name, value in values.items():
            points = found.setdefault(name.replace(" ", "/"), [])
            points.append((epoch, float(value)))
    last, selected = tests[-2:] if len(tests) > 1 else 2 * tests
    named = {name.replace(" ", "/"): x for name, x in selected.items()}
    named["best_epoch"] = named.pop("epoch")
    for name, value in last.items():
        named[name.replace("test ", "test/last_epoch_")] = value
    del named["epoch"]
    step = max(epochs) + 1
    return found | {name: [(step, float(x))] for name, x in named.items()}


class FakeRun:
    """A run of a stand-in: what it was begun with, and what it is told."""

    url = "https://there"

    def __init__(self, options, last_step):
        self.options = options
        self.step = self._next_step = last_step + 1
        self.told, self.ended = [], False
        self.dir = f"{options.get('dir')}/wandb/run/files"

    def log(self, values, step=None, commit=None):
        """Keep the values; wandb is told without any to write the last ones."""
        if values:
            self.told.append((step, values))

    def finish(self):
        """End."""
        self.ended = True


class FakeModule(SimpleNamespace):
    """A stand-in for the packages wandb and trackio."""

    def __init__(self, last_step=-1):
        super().__init__(last_step=last_step, runs=[], Settings=dict)

    def init(self, **options):
        """Begin or continue a run, of which steps up to the last are known."""
        self.runs.append(FakeRun(options, self.last_step))
        return self.runs[-1]

    def finish(self):
        """End the latest run."""
        self.runs[-1].finish()
