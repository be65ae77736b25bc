"""One run of a recipe: its folder, its folds and its summary."""

from pathlib import Path

from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    if_main_process,
)
from speechbrain.utils.logger import get_logger

from petl_modules.runs.fold_claims import claim_folds, hold_fold
from petl_modules.runs.fold_files import require_intact
from petl_modules.runs.fold_run import FoldRun
from petl_modules.runs.logs import log_to
from petl_modules.runs.plan import find_results
from petl_modules.runs.report import table
from petl_modules.runs.run_data import prepare_data
from petl_modules.runs.run_folder import claim_folder
from petl_modules.runs.summary import write_summary
from petl_modules.utils import alone_in, show, unlock_folder

logger = get_logger(__name__)


class Experiment:
    """One run of a recipe: its folder, its folds and its summary.

    Arguments
    ---------
    recipe : petl_modules.runs.RecipeFile
        The recipe file, merged with its base and the command line.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.
    script : str
        The recipe's ``train.py``.
    temporary : tempfile.TemporaryDirectory or None
        The folder of a debug run that keeps nothing; removed with this object.
    prepare_only : bool
        Whether to end the program when the data are prepared.

    Attributes
    ----------
    settings : dict
        The recipe file's values, references resolved, no objects made.
    folder : pathlib.Path
        The run's folder.
    log : pathlib.Path
        The current log file, that of the run or of a fold.

    Raises
    ------
    petl_modules.utils.HparamsError
        If the folder holds another run.
    """

    def __init__(
        self, recipe, run_opts, script, temporary=None, prepare_only=False
    ):
        self.recipe = recipe
        self.run_opts = run_opts
        self.script = script
        self.temporary = temporary
        self.prepare_only = prepare_only
        self.settings = recipe.settings
        self.folder = Path(self.settings["output_folder"])
        self.file = self.folder / "hyperparams.yaml"
        if if_main_process():
            claim_folder(self.file, recipe.text)
        ddp_barrier()
        self.log = log_to(self.folder / "log.txt")
        self.skipped = []  # clips that preparation has left out
        self.data = None  # in the main process: the content of data.json
        self.fold_runs = {}  # the folds that are not finished, by name

    def prepare(self, prepare, options, make_plan):
        """Prepare the data and plan the folds.

        Arguments
        ---------
        prepare : callable
            The recipe's prepare function. It returns the manifest's file and
            the labels.
        options : dict
            Its keyword arguments.
        make_plan : callable
            Makes the plan of the manifest's records.

        Returns
        -------
        plan, labels
            See ``prepare_data``, also for the errors.

        Raises
        ------
        SystemExit
            Nothing else was to be done.
        """
        made = prepare_data(self.recipe, prepare, options, make_plan)
        plan, labels, self.skipped, self.data = made
        if self.prepare_only:
            raise SystemExit
        return plan, labels

    @property
    def metric(self):
        """Name of the metric that selects the epoch."""
        return self.settings["best_metric"]["name"]

    def unfinished(self, plan):
        """Lock the folds of the plan without a result; print the others.

        Arguments
        ---------
        plan : petl_modules.runs.plan.Plan
            The folds.

        Returns
        -------
        list of petl_modules.runs.plan.Fold
            Those that are locked: this run trains them.

        Raises
        ------
        petl_modules.utils.HparamsError
            Another process trains one of them, see ``claim_folds``.
        petl_modules.utils.DataError
            A file of a finished fold is damaged.
        """
        tests = {fold.name: fold.parts["test"] for fold in plan.folds}
        ours = None
        if if_main_process():
            ours = claim_folds(self.file, self.recipe.text, self.data, plan)
            for file in find_results(self.folder):  # all count in the summary
                name = file.parent.name
                require_intact(file.parent, self.metric, tests.get(name))
        ours = ddp_broadcast(ours)
        for name in sorted(tests.keys() - set(ours)):
            logger.info(f"{name} is finished already and is kept")
        return [fold for fold in plan.folds if fold.name in ours]

    def load(self, fold, **overrides):
        """Make the objects of the recipe file, fresh for one fold.

        Recipe file, script and environment are saved in the fold's folder,
        and so is the list of clips of a few-shot draw.

        Arguments
        ---------
        fold : petl_modules.runs.plan.Fold
            The fold.
        **overrides
            Values of keys that only the data can give, such as ``labels``.

        Returns
        -------
        dict
            The hyperparameters.

        Raises
        ------
        petl_modules.utils.UserError
            If an object cannot be made of the recipe file's values.
        """
        if if_main_process():  # someone may have deleted the folder
            hold_fold(self.folder / fold.name)
        fold_run = FoldRun(fold, self.recipe, self.run_opts, self.script)
        made = fold_run.load(overrides)
        self.fold_runs[fold.name], self.log = fold_run, fold_run.log
        return made

    def finish_fold(self, fold, result, rows, model):
        """Write the fold's outputs.

        ``result.json`` marks the fold as finished, and nobody trains it again.

        Arguments
        ---------
        fold : petl_modules.runs.plan.Fold
            The fold.
        result : dict
            The fold's entry in ``summary.json``, without its number.
        rows : list of dict or None
            The rows of ``predictions.csv``; None writes no such file. Rows
            with the ``id`` of a test clip are put in the manifest's order.
        model : petl_modules.models.TunedModel
            The selected model.

        Raises
        ------
        RuntimeError
            In a debug run, if frozen parameters have changed.
        """
        if self.settings.get("skip_bad_audio"):
            result = {**result, "skipped_clips": self.skipped}
        self.fold_runs.pop(fold.name).finish(result, rows, model)
        if if_main_process():
            unlock_folder(self.folder / fold.name)
        ddp_barrier()
        self.log = log_to(self.folder / "log.txt")

    def summarise(self, plan, report=None):
        """Write ``summary.json`` and print the table of the folds.

        A fold of the folder counts if all of its draws are finished, whether
        or not this command line has asked for it.

        Arguments
        ---------
        plan : petl_modules.runs.plan.Plan
            The folds, and the protocol they follow.
        report : callable or None
            Called with the run's folder and the rows of all
            ``predictions.csv``, to write what belongs to the task.
        """
        if not if_main_process():
            return
        with alone_in(self.folder):  # others may end at the same time
            summary = write_summary(self.settings, plan, report)
        show(table(summary, plan.n_folds, self.metric))
        if self.temporary is None:
            show(f"\nsummary and predictions: {self.folder}")
        else:
            show("\na debug run: nothing of it is kept")
