"""Trackers that a fold logs to: TensorBoard, wandb or trackio.

SpeechBrain's loggers write to the first two. Each is opened for one fold, anew
whenever the run resumes, and told what it has to know for that. The packages
are extras (requirements-trackers.txt), and imported when one is chosen;
SpeechBrain's loggers too, which warn when they are imported.
"""

import contextlib
import io
import os
import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from petl_modules.utils import HparamsError, brief, naming

logger = get_logger(__name__)

NONE = "none"


class Tracker(NamedTuple):
    """A tracker that is open for a fold.

    Arguments
    ---------
    log : callable
        Takes a step, values by name, and values by part (``train``, ...) and
        name.
    close : callable
        Ends what was opened.
    shown : int
        The last step that it has already, or a number below 1.
    """

    log: callable
    close: callable
    shown: int


class Run(NamedTuple):
    """What a tracker's run is called and belongs to.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.
    name : str
        Such as ``ESC50/ast/lora/10/fold1``; its first part is the project.
    id : str
        The same whenever the fold resumes, and no other fold's.
    config : dict
        The run's settings that are a text or a number.
    """

    folder: Path
    name: str
    id: str
    config: dict

    @property
    def project(self):
        """Name of the project, of letters that all trackers take."""
        return re.sub(r"[^\w.-]+", "-", self.name.partition("/")[0])


def require_tracker(kind):
    """Import what a tracker needs.

    Arguments
    ---------
    kind : str
        One of ``TRACKERS``.

    Raises
    ------
    HparamsError
        If it is not there, or does not import; names the remedy.
    """
    if kind == NONE:
        return
    module, name, _ = KINDS[kind]
    try:  # a folder named wandb imports, too, as an empty module
        getattr(import_module(module), name)
    except Exception as error:
        raise HparamsError(
            f"logger is {kind}, which does not import ({brief(error)}): "
            f"python -m pip install {kind}, or give --logger none"
        ) from error


def open_tracker(kind, run):
    """Open a tracker for a fold.

    Arguments
    ---------
    kind : str
        One of ``TRACKERS``, but for ``none``.
    run : Run
        The tracker's run.

    Returns
    -------
    Tracker

    Raises
    ------
    HparamsError
        If the package is not there, or refuses the run.
    """
    require_tracker(kind)
    *_, begin = KINDS[kind]
    with naming(f"logger {kind}"):
        return begin(run)


def _tensorboard(run):
    """Open new files of events in the fold's folder, in place of older ones.

    SpeechBrain's logger numbers the values of a process from 1, so that those
    of a resumed run would stand beside others; here the step is the epoch.
    """
    from speechbrain.utils.train_logger import TensorboardLogger

    folder = run.folder / "tensorboard"
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    events = TensorboardLogger(str(folder))

    def log(step, values, parts):
        before = {part: dict.fromkeys(parts[part], step - 1) for part in parts}
        events.global_step = {"meta": step - 1, **before}
        events.log_stats(values, **_by_argument(parts))
        events.writer.flush()  # otherwise up to two minutes late

    logger.info(f"{run.name}: tensorboard --logdir {run.folder.parent}")
    return Tracker(log, events.writer.close, 0)


def _wandb(run):
    """Begin or continue a run of wandb; offline, begin it anew.

    A killed offline run leaves nothing behind, and wandb resumes none.
    """
    import wandb
    from speechbrain.utils.train_logger import WandBLogger

    mode = os.environ.get("WANDB_MODE", "offline")
    made = wandb.init(
        project=os.environ.get("WANDB_PROJECT", run.project),
        name=run.name,
        id=run.id,
        dir=str(run.folder),
        config=run.config,
        mode=mode,
        resume="allow",
        reinit="finish_previous",  # the default is to return that run
        settings=wandb.Settings(silent=mode == "offline", console="off"),
    )
    # It would call an exception, not raise it, if wandb.init raised one there
    values_logger = WandBLogger(lambda: made)

    def log(_, values, parts):
        values_logger.log_stats(values, **_by_argument(parts))
        made.log({}, commit=True)  # otherwise kept back until the next step

    local = f"offline, wandb sync {Path(made.dir).parent}"
    logger.info(f"{run.name}: {local if mode == 'offline' else made.url}")
    return Tracker(log, made.finish, made.step - 1)


def _trackio(run):
    """Begin or continue a run of trackio, which knows it by its name."""
    import trackio

    with _silent():
        made = trackio.init(
            project=run.project,
            name=f"{run.name} {run.id}",
            config=run.config,
            resume="allow",
        )

    def log(step, values, parts):
        of_parts = {
            f"{part}/{name}": value
            for part, found in parts.items()
            for name, value in found.items()
        }
        made.log({**values, **of_parts}, step=step)

    def close():
        with _silent():
            trackio.finish()

    logger.info(f"{run.name}: trackio show --project {run.project}")
    return Tracker(log, close, made._next_step - 1)


def _silent():
    """Keep back the lines that trackio prints for each run."""
    return contextlib.redirect_stdout(io.StringIO())


def _by_argument(parts):
    """Name values of parts as SpeechBrain's ``log_stats`` does."""
    return {f"{part}_stats": values for part, values in parts.items()}


# By tracker: the module that it needs, a name in that, and what begins a run
KINDS = {
    "tensorboard": ("torch.utils.tensorboard", "SummaryWriter", _tensorboard),
    "wandb": ("wandb", "init", _wandb),
    "trackio": ("trackio", "init", _trackio),
}
TRACKERS = (NONE, *KINDS)
