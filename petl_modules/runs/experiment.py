"""One run of a recipe: its folds, what is finished, and the summary.

Authors
 * The PETL audio recipes team 2026
"""

import atexit
import contextlib
import logging
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    ddp_init_group,
    if_main_process,
)
from torch import distributed

from petl_modules.models import WEIGHTS, save_trained, versions
from petl_modules.runs.checks import check_device, check_values
from petl_modules.runs.command_line import HELP, compose
from petl_modules.runs.plan import find_results, folder_name
from petl_modules.runs.plots import write_confusion
from petl_modules.runs.recipe_file import dump_yaml, parse_yaml, resolve
from petl_modules.runs.report import means, table
from petl_modules.runs.run_folder import claim_data, claim_folder
from petl_modules.training import frozen_digests, require_unchanged
from petl_modules.utils import (
    DownloadError,
    HparamsError,
    leave_group,
    n_processes,
    read_csv,
    read_json,
    write_csv,
    write_json,
    write_text,
)

# SpeechBrain's own loggers leave debug messages out, and this one goes to a
# run's log.txt alone
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def plain_errors(debug=False):
    """Ends the program with one message where a user can mend what is wrong.

    Arguments
    ---------
    debug : bool
        Whether to show the traceback all the same.
    """
    try:
        yield
    except (ValueError, OSError, DownloadError) as error:
        if debug:
            raise
        text = str(error)
        if text.startswith("Caught "):  # in a loader's worker
            text = text.rstrip().rpartition("AudioError: ")[2]
        sys.exit(f"error: {text}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last epoch")


@contextlib.contextmanager
def traceback_in_log():
    """Keeps the traceback of an error in the log of the run."""
    try:
        yield
    except Exception:
        logger.debug("ended by an error", exc_info=True)
        raise


class Experiment:
    """A recipe with its files and command line put together.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.
    script : str
        The recipe's ``train.py``.

    Attributes
    ----------
    settings : dict
        The recipe file's keys with references put in; objects not made.
    text : str
        The merged recipe file, references unresolved.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.
    folder : pathlib.Path
        Where everything goes; a temporary folder with ``--debug``.
    file : pathlib.Path
        The merged recipe file in it.
    """

    def __init__(self, arguments, script):
        if {"-h", "--help"} & set(arguments):
            print(HELP)
            sys.exit()
        show = "--print_hparams" in arguments
        arguments = [a for a in arguments if a != "--print_hparams"]
        recipe = Path(script).resolve().parent
        # SpeechBrain writes down the packages of the first pip on the path
        own = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", "")])
        self.text, self.run_opts = compose(arguments, recipe)
        if show:
            print(self.text)
            sys.exit()
        self.settings = dict(resolve(self.text))
        check_values(self.settings)
        check_device(self.run_opts.device)
        ddp_init_group(self.run_opts)
        if distributed.is_initialized():
            atexit.register(leave_group)
        self.kept = True
        if self.run_opts.debug:
            self._move_aside()
        self.folder = Path(self.settings["output_folder"])
        self.file = self.folder / "hyperparams.yaml"
        if if_main_process():
            claim_folder(self.file, self.text)
        ddp_barrier()
        self.frozen = None  # in a debug run: what must not change

    def _move_aside(self):
        """Keeps a debug run's outputs apart from those of real runs."""
        folder = str(Path(self.settings["output_folder"]) / "debug")
        self.kept = self.run_opts.debug_persistently
        if not self.kept:
            # SpeechBrain would give each process a folder of its own
            given = {*self.run_opts.overridden_args, "debug_persistently"}
            self.run_opts = replace(
                self.run_opts, debug_persistently=True, overridden_args=given
            )
            if if_main_process():
                self.temporary = tempfile.TemporaryDirectory(prefix="debug-")
                folder = self.temporary.name
            folder = ddp_broadcast(folder)
        tree = parse_yaml(self.text, "the recipe file")
        tree["output_folder"] = tree["manifest_folder"] = folder
        self.text = dump_yaml(tree)
        self.settings = dict(resolve(self.text))

    def claim_data(self, records, skipped=()):
        """Refuses data or a number of processes other than before.

        Arguments
        ---------
        records : dict
            The manifest.
        skipped : list of str
            Clips that were left out of it, see ``skip_bad_audio``.

        Raises
        ------
        HparamsError
            If the folder holds a run on others.
        """
        self.skipped = list(skipped)
        if if_main_process():
            claim_data(self.folder, records, n_processes())
        ddp_barrier()

    def fold_folder(self, fold):
        """Where a fold's files go."""
        return self.folder / fold.name

    def unfinished(self, plan):
        """The folds of the plan that have no result yet; tells of others."""
        unfinished = []
        for fold in plan.folds:
            if (self.fold_folder(fold) / "result.json").exists():
                print(f"{fold.name} is finished already and is kept")
            else:
                unfinished.append(fold)
        return unfinished

    def load(self, fold, labels):
        """Makes the objects of the recipe file, fresh for one fold.

        The list of clips of a few-shot draw is saved.

        Arguments
        ---------
        fold : petl_modules.runs.plan.Fold
            The fold.
        labels : list of str
            Class names in the order of the logits.

        Returns
        -------
        tuple of dict
            The hyperparameters, and the overrides they were loaded with.
        """
        if self.settings["few_shot"] and if_main_process():
            clips = "".join(f"{clip}\n" for clip in fold.parts["train"])
            write_text(self.fold_folder(fold) / "train_clips.txt", clips)
        overrides = {"fold": fold.name, "labels": list(labels)}
        try:
            made = load_hyperpyyaml(self.text, overrides)
        except (ImportError, TypeError) as error:
            raise HparamsError(
                "what the recipe file describes could not be made: "
                + " ".join(map(str, error.args))
            ) from error
        if self.run_opts.debug:
            self.frozen = frozen_digests(made["tuned_model"])
        return made, overrides

    def finish_fold(self, fold, result, predictions, model):
        """Writes what a fold leaves; its result last, as the mark of its end.

        Arguments
        ---------
        fold : petl_modules.runs.plan.Fold
            The fold.
        result : dict
            The fold's entry in ``summary.json``, but for its number.
        predictions : list of dict
            ``id``, ``label``, ``predicted``, ``probability`` of each test
            clip, in any order. The file has them in the manifest's.
        model : petl_modules.models.TunedModel
            The selected model.

        Raises
        ------
        RuntimeError
            In a debug run, if what is frozen has changed.
        """
        if self.run_opts.debug:
            require_unchanged(self.frozen, model)
        if if_main_process():
            folder = self.fold_folder(fold)
            save_trained(model, folder / WEIGHTS)
            order = {clip: i for i, clip in enumerate(fold.parts["test"])}
            rows = sorted(predictions, key=lambda row: order[row["id"]])
            write_csv(folder / "predictions.csv", rows)
            counts = model.count_parameters()
            number = {"fold": fold.number}
            if self.settings["few_shot"]:
                number["draw"] = fold.draw
            if self.settings.get("skip_bad_audio"):
                result["skipped_clips"] = self.skipped
            result = {"fold": {**number, **result}, **counts}
            write_json(folder / "result.json", result)
        ddp_barrier()

    def summarise(self, plan, labels):
        """Writes the summary, the confusion matrix and prints the table.

        All folds of the folder count for which every draw is finished, which
        are at least those asked for.

        Arguments
        ---------
        plan : petl_modules.runs.plan.Plan
            The folds, and the protocol they follow.
        labels : list of str
            Class names in the order of the logits.
        """
        if not if_main_process():
            return
        results = plan.complete(map(read_json, find_results(self.folder)))
        summary = self._summary(results, plan.protocol)
        names = [
            folder_name(fold["fold"], fold.get("draw", 1))
            for fold in summary["folds"]
        ]
        predictions = [
            row
            for name in names
            for row in read_csv(self.folder / name / "predictions.csv")
        ]
        write_confusion(self.folder, predictions, labels)
        write_json(self.folder / "summary.json", summary)
        print(table(summary, plan.n_folds))
        if not self.kept:
            print("\na debug run: nothing of it is kept")
        else:
            print(f"\nsummary and confusion matrix: {self.folder}")

    def _summary(self, results, protocol):
        if self.settings.get("allow_partial"):
            protocol += "; on a part of the data (allow_partial)"
        named = ("backbone", "method", "seed")
        return {
            "dataset": self.settings["dataset"],
            "protocol": protocol,
            **{key: self.settings[key] for key in named},
            "folds": [result["fold"] for result in results],
            **means(result["fold"] for result in results),
            **{k: v for k, v in results[0].items() if k != "fold"},
            "versions": versions(),
        }
