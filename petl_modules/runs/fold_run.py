"""One fold of a run: its objects, fresh from the recipe file, and its outputs."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

from speechbrain import create_experiment_directory
from speechbrain.utils.distributed import if_main_process, infer_device
from speechbrain.utils.logger import get_logger

from petl_modules.data import durations_of
from petl_modules.runs.fold_facts import FoldFacts
from petl_modules.runs.fold_files import write_fold
from petl_modules.runs.interfaces import check_objects, rehearse
from petl_modules.runs.logs import log_to
from petl_modules.training import (
    frozen_digests,
    require_metric,
    require_unchanged,
)
from petl_modules.utils import write_text

logger = get_logger(__name__)


class FoldRun:
    """One fold of a run: its objects and its outputs.

    Arguments
    ---------
    fold : petl_modules.runs.plan.Fold
        The fold.
    recipe : petl_modules.runs.RecipeFile
        The run's recipe file.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.
    script : str
        The recipe's ``train.py``.

    Attributes
    ----------
    folder : pathlib.Path
        The fold's folder, in that of the run.
    log : pathlib.Path
        The fold's log file.
    """

    def __init__(self, fold, recipe, run_opts, script):
        self.fold = fold
        self.run_folder = Path(recipe.settings["output_folder"])
        self.folder = self.run_folder / fold.name
        self.recipe = recipe
        self.run_opts = run_opts
        self.script = script
        self.log = self.folder / "log.txt"
        self.facts = None
        self.frozen = None  # in a debug run: digests of frozen parameters

    def load(self, overrides):
        """Make the objects, check them, and save what they are made of.

        See ``Experiment.load``.
        """
        parts = self.fold.parts
        if self.recipe.settings["few_shot"] and if_main_process():
            clips = "".join(f"{clip}\n" for clip in parts["train"])
            write_text(self.folder / "train_clips.txt", clips)
        device = self.run_opts.device or infer_device()
        self.facts = FoldFacts(parts, device)
        overrides = {"fold": self.fold.name, **overrides}
        made = self.recipe.make_all(**overrides)
        require_metric(made["best_metric"], made["metrics"])
        check_objects(made, self.script)
        durations = durations_of(parts.get("train", {}))
        rehearse(made, self.script, durations, device)
        model = made["modules"]["model"]
        if self.run_opts.debug:
            self.frozen = frozen_digests(model)
        log_to(self.log)
        file = self.run_folder / "hyperparams.yaml"
        _save_setup(self.folder, file, overrides, self.script)
        clips = ", ".join(f"{k}: {len(v)}" for k, v in parts.items())
        count = model.count_parameters()
        logger.info(
            f"{self.fold.name}: clips ({clips}); trained parameters "
            f"{count['trainable_parameters']:,} of "
            f"{count['total_parameters']:,}; log file {self.log}"
        )
        if latest := made["checkpointer"].find_checkpoint():
            logger.info(f"resuming {self.fold.name} {_place(latest.meta)}")
        return made

    def finish(self, result, rows, model):
        """Write the outputs; see ``Experiment.finish_fold``."""
        if self.run_opts.debug:
            require_unchanged(self.frozen, model)
        if not if_main_process():
            return
        number = {"fold": self.fold.number}
        if self.recipe.settings["few_shot"]:
            number["draw"] = self.fold.draw
        if rows is not None:
            order = {c: i for i, c in enumerate(self.fold.parts["test"])}
            rows = sorted(
                rows, key=lambda row: order.get(row.get("id"), len(order))
            )
        write_fold(
            self.folder,
            {**number, **result},
            rows,
            model,
            self.facts.read(),
        )


def _place(meta):
    """Return where in the training a checkpoint was saved, in words.

    Example
    -------
    >>> _place({"epoch": 3}), _place({"epoch": 4, "step": 20})
    ('after epoch 3', 'within epoch 4, after step 20')
    """
    if "step" in meta:
        return f"within epoch {meta['epoch']}, after step {meta['step']}"
    return f"after epoch {meta['epoch']}"


def _save_setup(folder, file, overrides, script):
    """Save recipe file, script and environment in a fold's folder.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    file : pathlib.Path
        The recipe file.
    overrides : dict
        Values that replace keys of the recipe file.
    script : str
        The recipe's ``train.py``.
    """
    with _own_pip_first():
        # No log_config: logging stays as log_to has set it up
        create_experiment_directory(folder, file, overrides, log_config="")
    if if_main_process():
        # SpeechBrain saves the calling script, which is this file
        (folder / Path(__file__).name).unlink(missing_ok=True)
        shutil.copy(script, folder)


@contextlib.contextmanager
def _own_pip_first():
    """Put this interpreter's folder first in ``PATH``.

    SpeechBrain logs the packages that the first ``pip`` in ``PATH`` lists.
    """
    before = os.environ.get("PATH", "")
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
