"""What a fold logs of each epoch and of its test, as text and in a tracker."""

import json
import math
import re
from pathlib import Path
from uuid import uuid4

from speechbrain.utils.distributed import main_process_only

from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.runs.trackers import NONE, Run, open_tracker
from petl_modules.runs.yaml_text import read_text
from petl_modules.utils import read_json, write_json

RECORD = "tracker.json"
FORM = {
    "id": re.compile("[0-9a-f]{8}"),
    "epochs": [
        {"values": {"epoch": int}, "parts": {str: {str: float}}},
    ],
}


class FoldLogger:
    """Log a fold in ``train_log.txt``, and in a tracker if one is chosen.

    What a tracker is told of each epoch is also kept in ``tracker.json``, with
    the id of the tracker's run: when a run resumes, the tracker gets what it
    lacks, and nothing twice. A resumed epoch has the values that it had, and
    is not logged again.

    Only the main process logs, and all processes call ``log_stats``.

    Arguments
    ---------
    folder : str
        The fold's folder.
    tracker : str
        ``none``, ``tensorboard``, ``wandb`` or ``trackio``.
    name : str
        The name of the tracker's run, such as ``ESC50/ast/lora/10/fold1``.
    settings : str
        The run's recipe file. Its texts and numbers go to the tracker.

    Raises
    ------
    petl_modules.utils.HparamsError
        If the tracker's package is not there, or refuses the run.
    petl_modules.utils.DataError
        If ``tracker.json`` is damaged.

    Example
    -------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> fold_logger = FoldLogger(folder, "none", "", "")
    >>> fold_logger.log_stats({"epoch": 1}, {"loss": 0.5}, {"loss": 0.75})
    >>> Path(folder, "train_log.txt").read_text()
    'epoch: 1 - train loss: 5.00e-01 - valid loss: 7.50e-01\\n'
    """

    def __init__(self, folder, tracker, name, settings):
        from speechbrain.utils.train_logger import FileTrainLogger

        self.folder = Path(folder)
        self.text = FileTrainLogger(str(self.folder / "train_log.txt"))
        self.tracker = None
        self.last_test = None
        if tracker != NONE:
            self._open(tracker, name, settings)

    @main_process_only
    def _open(self, tracker, name, settings):
        """Open the tracker, and tell it what it lacks."""
        self.record = self._read_record()
        config = {**_config(settings), "fold": self.folder.name}
        run = Run(self.folder, name, self.record["id"], config)
        self.tracker = open_tracker(tracker, run)
        for row in self.record["epochs"]:
            self._show(row)

    def _read_record(self):
        """Return what was logged before, or write the record of a new run.

        Epochs without a checkpoint are trained anew, maybe with other settings.
        """
        file = self.folder / RECORD
        if file.exists():
            remedy = "Remove it, and the tracker begins a new run."
            record = read_json(file, FORM, remedy)
            if not record["epochs"] or any(self.folder.glob("save/CKPT+*")):
                return record
        record = {"id": uuid4().hex[:8], "epochs": []}
        write_json(file, record)
        return record

    @main_process_only
    def log_stats(
        self, stats_meta, train_stats=None, valid_stats=None, test_stats=None
    ):
        """Log an epoch, or a test.

        Arguments
        ---------
        stats_meta : dict
            ``epoch``, and of an epoch its learning rates, of a test whether
            its weights are the ``selected`` ones, which are tested last.
        train_stats, valid_stats, test_stats : dict or None
            Numbers by name.
        """
        self.text.log_stats(stats_meta, train_stats, valid_stats, test_stats)
        if self.tracker is None:
            return
        if test_stats is not None:
            self._log_test(stats_meta, test_stats)
            return
        rows = self.record["epochs"]
        if rows and stats_meta["epoch"] <= rows[-1]["values"]["epoch"]:
            return  # repeated after a kill
        stats = {"train": train_stats, "valid": valid_stats}
        parts = {  # JSON has no nan
            part: {name: x for name, x in of.items() if math.isfinite(x)}
            for part, of in stats.items()
            if of is not None
        }
        rows.append({"values": stats_meta, "parts": parts})
        write_json(self.folder / RECORD, self.record)
        self._show(rows[-1])

    def _show(self, row):
        """Tell the tracker of an epoch, unless it has it."""
        if (step := row["values"]["epoch"]) > self.tracker.shown:
            self.tracker.log(step, row["values"], row["parts"])

    def _log_test(self, meta, stats):
        """Log the tests of the last and of the selected epoch, and close."""
        if not meta["selected"]:
            self.last_test = stats
            return
        last = self.last_test or stats  # the last epoch is the selected one
        last = {f"last_epoch_{name}": value for name, value in last.items()}
        epochs = [row["values"]["epoch"] for row in self.record["epochs"]]
        step = max([meta["epoch"], *epochs]) + 1
        if step > self.tracker.shown:
            best = {"best_epoch": meta["epoch"]}
            self.tracker.log(step, best, {"test": {**stats, **last}})
        self.tracker.close()
        self.tracker = None


def _config(path):
    """Return the texts and numbers of a recipe file, by key."""
    settings = RecipeFile.parse(read_text(path), path).settings
    kept = {
        key: value
        for key, value in settings.items()
        if isinstance(value, (str, int, float)) and key[0] != "_"
    }
    return json.loads(json.dumps(kept))  # of plain types
