"""One run of a recipe: its folds, what is finished, and the summary.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    ddp_init_group,
    if_main_process,
)

from petl_modules import report
from petl_modules.checkpoint import WEIGHTS, save_trained, versions
from petl_modules.command_line import HELP, compose
from petl_modules.download import DownloadError
from petl_modules.files import write_json
from petl_modules.hparams import HparamsError, dump_yaml, parse_yaml, resolve
from petl_modules.settings import check_device, check_values, claim_folder

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
        sys.exit(f"error: {error}")
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
        if self.run_opts.debug:
            self._move_aside()
        self.folder = Path(self.settings["output_folder"])
        self.file = self.folder / "hyperparams.yaml"
        if if_main_process():
            claim_folder(self.file, self.text)
        ddp_barrier()

    def _move_aside(self):
        """Keeps a debug run's outputs apart from those of real runs."""
        folder = str(Path(self.settings["output_folder"]) / "debug")
        if not self.run_opts.debug_persistently:
            if if_main_process():
                self.temporary = tempfile.TemporaryDirectory(prefix="debug-")
                folder = self.temporary.name
            folder = ddp_broadcast(folder)
        tree = parse_yaml(self.text, "the recipe file")
        tree["output_folder"] = tree["manifest_folder"] = folder
        self.text = dump_yaml(tree)
        self.settings = dict(resolve(self.text))

    def fold_folder(self, fold):
        """Where a fold's files go."""
        return self.folder / f"fold{fold}"

    def unfinished_folds(self):
        """The folds asked for that have no result yet; tells of the others."""
        unfinished = []
        for fold in self.settings["folds"]:
            if (self.fold_folder(fold) / "result.json").exists():
                print(f"fold {fold} is finished already and is kept")
            else:
                unfinished.append(fold)
        return unfinished

    def load(self, fold, labels):
        """Makes the objects of the recipe file, fresh for one fold.

        Arguments
        ---------
        fold : int
            The test fold.
        labels : list of str
            Class names in the order of the logits.

        Returns
        -------
        tuple of dict
            The hyperparameters, and the overrides they were loaded with.
        """
        overrides = {"fold": fold, "labels": list(labels)}
        try:
            return load_hyperpyyaml(self.text, overrides), overrides
        except (ImportError, TypeError) as error:
            raise HparamsError(
                "what the recipe file describes could not be made: "
                + " ".join(map(str, error.args))
            ) from error

    def finish_fold(self, fold, result, predictions, model):
        """Writes what a fold leaves; its result last, as the mark of its end.

        Arguments
        ---------
        fold : int
            The test fold.
        result : dict
            The fold's entry in ``summary.json``.
        predictions : list of dict
            ``id``, ``label``, ``predicted``, ``probability`` of each test
            clip.
        model : petl_modules.tuned_model.TunedModel
            The selected model.
        """
        if if_main_process():
            folder = self.fold_folder(fold)
            save_trained(model, folder / WEIGHTS)
            report.write_csv(folder / "predictions.csv", predictions)
            counts = model.count_parameters()
            write_json(folder / "result.json", {"fold": result, **counts})
        ddp_barrier()

    def summarise(self, labels):
        """Writes the summary, the confusion matrix and prints the table.

        All finished folds of the folder count, which are at least those
        asked for.

        Arguments
        ---------
        labels : list of str
            Class names in the order of the logits.
        """
        if not if_main_process():
            return
        folds = range(1, self.settings["n_folds"] + 1)
        files = [self.fold_folder(f) / "result.json" for f in folds]
        results = [json.loads(f.read_text()) for f in files if f.exists()]
        summary = self._summary(results)
        predictions = [
            row
            for result in summary["folds"]
            for row in report.read_csv(
                self.fold_folder(result["fold"]) / "predictions.csv"
            )
        ]
        report.write_confusion(self.folder, predictions, labels)
        write_json(self.folder / "summary.json", summary)
        print(report.table(summary, self.settings["n_folds"]))
        if self.run_opts.debug and not self.run_opts.debug_persistently:
            print("\na debug run: nothing of it is kept")
        else:
            print(f"\nsummary and confusion matrix: {self.folder}")

    def _summary(self, results):
        accuracies = [r["fold"]["test_accuracy"] for r in results]
        counts = {k: v for k, v in results[0].items() if k != "fold"}
        named = ("dataset", "protocol", "backbone", "method", "seed")
        about = {key: self.settings[key] for key in named}
        if self.settings["allow_partial"]:
            about["protocol"] += "; on a part of the data (allow_partial)"
        return {
            **about,
            "folds": [result["fold"] for result in results],
            "accuracy_mean": statistics.fmean(accuracies),
            "accuracy_std": statistics.pstdev(accuracies),
            **counts,
            "versions": versions(),
        }
