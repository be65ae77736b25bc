"""One run of a recipe: its folder, its folds and its summary."""

from pathlib import Path

from speechbrain.utils.distributed import (
    ddp_barrier,
    if_main_process,
    run_on_main,
)
from speechbrain.utils.logger import get_logger

from petl_modules.data import Windows, used_part
from petl_modules.data.prepare import read_manifest, read_skipped
from petl_modules.runs.checks import check_arguments
from petl_modules.runs.fold_files import (
    read_results,
    require_intact,
    write_fold,
)
from petl_modules.runs.logs import log_to
from petl_modules.runs.plan import Plan, find_results
from petl_modules.runs.report import table
from petl_modules.runs.run_folder import (
    claim_data,
    claim_folder,
    is_begun,
    save_setup,
)
from petl_modules.runs.summary import build_summary, read_predictions
from petl_modules.training import (
    frozen_digests,
    require_metric,
    require_unchanged,
)
from petl_modules.utils import (
    HparamsError,
    n_processes,
    show,
    write_json,
    write_text,
)

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

    Attributes
    ----------
    settings : dict
        The recipe file's values, references resolved, no objects made.
    folder : pathlib.Path
        The run's folder.
    file : pathlib.Path
        The recipe file in it.
    log : pathlib.Path
        The current log file, that of the run or of a fold.

    Raises
    ------
    petl_modules.utils.HparamsError
        If the folder holds another run.
    """

    def __init__(self, recipe, run_opts, script, temporary=None):
        self.recipe = recipe
        self.run_opts = run_opts
        self.script = script
        self.temporary = temporary
        self.settings = recipe.settings
        self.folder = Path(self.settings["output_folder"])
        self.file = self.folder / "hyperparams.yaml"
        if if_main_process():
            claim_folder(self.file, recipe.text)
        ddp_barrier()
        self.log = log_to(self.folder / "log.txt")
        self.skipped = []  # clips that preparation has left out
        self.frozen = None  # in a debug run: digests of frozen parameters

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
        plan : petl_modules.runs.plan.Plan
            The folds, and the protocol they follow.
        labels : list of str
            Class names, or what else the task learns from the data.

        Raises
        ------
        petl_modules.utils.HparamsError
            If the prepare function has no such arguments, or the folder holds
            a run on other data or another number of processes.
        """
        check_arguments(prepare, options)
        if if_main_process() and not is_begun(self.folder):
            # Wrong methods are known before all audio is read
            self.recipe.make({"encoder"} & self.settings.keys())
        keys = {"windows"} & self.settings.keys()
        made = self.recipe.make(["features", *keys])
        windows = made.get("windows") or Windows()
        cached = bool(self.settings.get("feature_cache"))
        windows.require(made["features"], cached)
        manifest, labels = run_on_main(prepare, kwargs=options)
        records = read_manifest(manifest)
        self.skipped = read_skipped(manifest)
        if if_main_process():
            claim_data(self.folder, records, n_processes())
        ddp_barrier()
        plan = make_plan(records)
        if not isinstance(plan, Plan):
            raise HparamsError(
                f"plan, in the recipe file, made a {type(plan).__name__}: it "
                "must make a Plan, as petl_modules.runs.plan_folds does"
            )
        facts = [f"{len(records)} clips", plan.protocol]
        facts.append(used_part(records, made["features"], windows))
        if self.skipped:
            facts.append(f"{len(self.skipped)} unreadable clips are left out")
        logger.info("; ".join(filter(None, facts)))
        return plan, labels

    @property
    def metric(self):
        """Name of the metric that selects the epoch."""
        return self.settings["best_metric"]["name"]

    def fold_folder(self, fold):
        """Return the folder of a fold's files."""
        return self.folder / fold.name

    def unfinished(self, plan):
        """Return the folds of the plan without a result; print the others.

        Arguments
        ---------
        plan : petl_modules.runs.plan.Plan
            The folds.

        Returns
        -------
        list of petl_modules.runs.plan.Fold

        Raises
        ------
        petl_modules.utils.DataError
            A file of a finished fold is damaged.
        """
        tests = {fold.name: fold.parts["test"] for fold in plan.folds}
        finished = find_results(self.folder)
        if if_main_process():
            for file in finished:  # all count in the summary
                name = file.parent.name
                require_intact(file.parent, self.metric, tests.get(name))
        ddp_barrier()
        kept = {file.parent.name for file in finished} & tests.keys()
        for name in sorted(kept):
            logger.info(f"{name} is finished already and is kept")
        return [fold for fold in plan.folds if fold.name not in kept]

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
        if self.settings["few_shot"] and if_main_process():
            clips = "".join(f"{clip}\n" for clip in fold.parts["train"])
            write_text(self.fold_folder(fold) / "train_clips.txt", clips)
        overrides = {"fold": fold.name, **overrides}
        made = self.recipe.make_all(**overrides)
        require_metric(made["best_metric"], made["metrics"])
        model = made["modules"]["model"]
        if self.run_opts.debug:
            self.frozen = frozen_digests(model)
        self.log = log_to(self.fold_folder(fold) / "log.txt")
        save_setup(self.fold_folder(fold), self.file, overrides, self.script)
        clips = ", ".join(f"{k}: {len(v)}" for k, v in fold.parts.items())
        count = model.count_parameters()
        logger.info(
            f"{fold.name}: clips ({clips}); trained parameters "
            f"{count['trainable_parameters']:,} of "
            f"{count['total_parameters']:,}; log file {self.log}"
        )
        return made

    def finish_fold(self, fold, result, rows, model):
        """Write the fold's outputs.

        ``result.json`` marks the fold as finished; checksums of all follow.

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
        if self.run_opts.debug:
            require_unchanged(self.frozen, model)
        if if_main_process():
            number = {"fold": fold.number}
            if self.settings["few_shot"]:
                number["draw"] = fold.draw
            if self.settings.get("skip_bad_audio"):
                result = {**result, "skipped_clips": self.skipped}
            if rows is not None:
                order = {clip: i for i, clip in enumerate(fold.parts["test"])}
                rows = sorted(
                    rows, key=lambda row: order.get(row.get("id"), len(order))
                )
            write_fold(
                self.fold_folder(fold), {**number, **result}, rows, model
            )
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
        results = plan.complete(read_results(self.folder, self.metric))
        summary = build_summary(self.settings, results, plan.protocol)
        if report is not None:
            report(self.folder, read_predictions(self.folder, summary["folds"]))
        write_json(self.folder / "summary.json", summary)
        show(table(summary, plan.n_folds, self.metric))
        if self.temporary is None:
            show(f"\nsummary and predictions: {self.folder}")
        else:
            show("\na debug run: nothing of it is kept")
