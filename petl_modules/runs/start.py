"""Start a run: command line, processes, debug folder, errors."""

import atexit
import contextlib
import os
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from speechbrain.utils.distributed import (
    ddp_broadcast,
    ddp_init_group,
    if_main_process,
)
from torch import distributed

from petl_modules.libraries import INTERRUPTED, raise_if_interrupted
from petl_modules.runs.checks import check_keys, check_values
from petl_modules.runs.command_line import HELP, compose
from petl_modules.runs.devices import check_device, check_precision
from petl_modules.runs.experiment import Experiment
from petl_modules.runs.failures import failure_text
from petl_modules.runs.input_keys import fill_in_input, fill_in_metric
from petl_modules.runs.logs import log_to, prepare_terminal, stop_logging
from petl_modules.runs.trackers import NONE
from petl_modules.runs.watch import start_watch
from petl_modules.training import prepare_workers
from petl_modules.utils import fail, leave_group, show


@contextlib.contextmanager
def start(arguments, script):
    """Start a run of a recipe, with its errors shown and logged.

    What a user or a machine did wrong (see ``failure_text``) ends the program
    with one line. Any other exception keeps its traceback, and all of them
    are in ``log.txt``.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.
    script : str
        The recipe's ``train.py``.

    Yields
    ------
    petl_modules.runs.Experiment
    """
    with plain_errors("--debug" in arguments):
        try:
            experiment = open_run(arguments, script)
            with errors_in_log(experiment):
                yield experiment
        finally:
            stop_logging()


def open_run(arguments, script):
    """Start a run as ``start`` does, with errors raised as they are."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        sys.exit()
    print_only = "--print_hparams" in arguments
    prepare_only = "--prepare_only" in arguments
    flags = ("--print_hparams", "--prepare_only")
    arguments = [a for a in arguments if a not in flags]
    recipe, run_opts = compose(arguments, Path(script).resolve().parent)
    if print_only:
        print(recipe.text)
        sys.exit()
    check_keys(recipe.settings, script)
    prepare_terminal()
    fill_in_metric(recipe)
    check_values(recipe.settings)
    check_device(run_opts.device)
    check_precision(recipe.settings, run_opts)
    ddp_init_group(run_opts)
    if distributed.is_initialized():
        atexit.register(leave_group)
    log_to()  # the run's folder is not known to be free yet
    fill_in_input(recipe)
    prepare_workers(recipe.settings["num_workers"])
    start_watch()
    temporary = None
    if run_opts.debug:
        run_opts, temporary = _move_aside(recipe, run_opts)
    return Experiment(recipe, run_opts, script, temporary, prepare_only)


def _move_aside(recipe, run_opts):
    """Keep a debug run's outputs apart from those of real runs.

    Returns
    -------
    tuple
        The run options, and the temporary folder if there is one here.
    """
    folder, temporary = (
        str(Path(recipe.settings["output_folder"], "debug")),
        None,
    )
    if not run_opts.debug_persistently:
        # SpeechBrain would give each process a folder of its own
        given = {*run_opts.overridden_args, "debug_persistently"}
        run_opts = replace(
            run_opts, debug_persistently=True, overridden_args=given
        )
        if if_main_process():
            temporary = tempfile.TemporaryDirectory(prefix="debug-")
            folder = temporary.name
        folder = ddp_broadcast(folder)
    places = {"output_folder": folder, "manifest_folder": folder}
    recipe.update({**places, "logger": NONE})
    return run_opts, temporary


@contextlib.contextmanager
def plain_errors(debug=False):
    """End the program with one line for what a user or a machine did wrong.

    Arguments
    ---------
    debug : bool
        Whether to keep the traceback of these errors, too.
    """
    raise_if_interrupted()
    try:
        yield
    except Exception as error:
        text = failure_text(error)
        if debug or text is None:
            raise
        fail(text)
    except KeyboardInterrupt:
        text = "interrupted; the same command resumes from the last epoch"
        show(text, sys.stderr)
        sys.exit(INTERRUPTED)


@contextlib.contextmanager
def errors_in_log(experiment):
    """Append the traceback of any exception to the log of the run.

    Arguments
    ---------
    experiment : petl_modules.runs.Experiment
        The run. Its ``log`` is that of the current fold.
    """
    hook = sys.excepthook
    try:
        yield
    except Exception:
        log = experiment.log
        if not log.parent.is_dir():  # the fold has not begun
            log = experiment.folder / log.name
        with (
            contextlib.suppress(OSError),
            open(log, "a", encoding="utf-8") as f,
        ):
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            text = f"{now} - {os.getpid()} - ended by an error\n"
            f.write(text + traceback.format_exc())
        raise
    finally:
        # SpeechBrain's would log the error again and print no traceback
        sys.excepthook = hook
