"""One run of a recipe: its folds, what is finished, and the summary.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    ddp_init_group,
    if_main_process,
)

from petl_modules import report
from petl_modules.checkpoint import save_trained, versions
from petl_modules.command_line import HELP, compose
from petl_modules.files import write_json, write_text
from petl_modules.hparams import (
    HparamsError,
    dump_yaml,
    one_line_values,
    parse_yaml,
    resolve,
)

# Keys that may differ between two runs into one folder
FREE_KEYS = {"folds", "download", "num_workers"}
FREE_KEYS |= {"output_folder", "manifest_folder"}

# The least value that a run can have
LEAST = {
    "number_of_epochs": 1,
    "batch_size": 1,
    "grad_accumulation_factor": 1,
    "num_workers": 0,
    "lr": 0,
    "weight_decay": 0,
}


@contextlib.contextmanager
def plain_errors(debug=False):
    """Ends the program with the message alone where a user's input is wrong.

    Arguments
    ---------
    debug : bool
        Whether to show the traceback all the same.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        if debug:
            raise
        sys.exit(f"error: {error}")


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
        with plain_errors("--debug" in arguments):
            self.text, self.run_opts = compose(arguments, recipe)
            if show:
                print(self.text)
                sys.exit()
            self.settings = dict(resolve(self.text))
            _check_values(self.settings)
            torch.empty(0, device=self.run_opts.device)  # is there such a one?
            ddp_init_group(self.run_opts)
            if self.run_opts.debug:
                self._move_aside()
            self.folder = Path(self.settings["output_folder"])
            self.file = self.folder / "hyperparams.yaml"
            if if_main_process():
                self._check_folder()
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

    def _check_folder(self):
        """Makes the output folder, or finds that it is this recipe's."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".write_test").touch()
            (self.folder / ".write_test").unlink()
        except OSError as error:
            raise HparamsError(
                f"output_folder {self.folder} cannot be written to "
                f"({error.strerror}): name another with --output_folder"
            ) from error
        work = ("fold*/save/CKPT+*", "fold*/result.json")
        if not any(any(self.folder.glob(pattern)) for pattern in work):
            write_text(self.file, self.text)  # nothing is trained here yet
            return
        theirs = one_line_values(self.file.read_text(encoding="utf-8"))
        ours = one_line_values(self.text)
        lines = [
            f"  {key}: {theirs.get(key, 'absent')} there, "
            f"{ours.get(key, 'absent')} now"
            for key in {**theirs, **ours}
            if key not in FREE_KEYS and theirs.get(key) != ours.get(key)
        ]
        if lines:
            raise HparamsError(
                f"{self.folder} holds a run with other settings:\n"
                + "\n".join(lines)
                + "\nName another --output_folder, or move that one away"
            )

    def fold_folder(self, fold):
        """Where a fold's files go."""
        return self.folder / f"fold{fold}"

    def unfinished_folds(self):
        """The folds asked for that have no result yet."""
        return [
            fold
            for fold in self.settings["folds"]
            if not (self.fold_folder(fold) / "result.json").exists()
        ]

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
        with plain_errors(self.run_opts.debug):
            try:
                hparams = load_hyperpyyaml(self.text, overrides)
            except (ImportError, TypeError) as error:
                raise HparamsError(
                    "what the recipe file describes could not be made: "
                    + " ".join(map(str, error.args))
                ) from error
        return hparams, overrides

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
            save_trained(model, folder / "model.safetensors")
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
        print(f"\nsummary and confusion matrix: {self.folder}")

    def _summary(self, results):
        accuracies = [r["fold"]["test_accuracy"] for r in results]
        counts = {k: v for k, v in results[0].items() if k != "fold"}
        named = ("dataset", "protocol", "backbone", "method", "seed")
        return {
            **{key: self.settings[key] for key in named},
            "folds": [result["fold"] for result in results],
            "accuracy_mean": statistics.fmean(accuracies),
            "accuracy_std": statistics.pstdev(accuracies),
            **counts,
            "versions": versions(),
        }


def _check_values(settings):
    """Values that no run can have."""
    for key, value in LEAST.items():
        if settings[key] < value:
            raise HparamsError(
                f"{key} is {settings[key]}: at least {value} is needed"
            )
    precision, seed = settings["precision"], settings["seed"]
    if precision not in ("fp32", "bf16", "fp16"):
        raise HparamsError(
            f"precision '{precision}' is none of: fp32, bf16, fp16"
        )
    if not 0 <= seed < 2**32:
        raise HparamsError(f"seed {seed} is not in 0 .. 2**32 - 1")
    folds, n_folds = list(settings["folds"]), settings["n_folds"]
    for fold in folds:
        if type(fold) is not int or not 1 <= fold <= n_folds:
            raise HparamsError(
                f"there is no fold {fold}: folds go from 1 to {n_folds}"
            )
    if not folds or len(set(folds)) < len(folds):
        raise HparamsError(f"folds {folds}: name each once, at least one")
