"""What a run says: a few lines on the terminal, everything in its log file."""

import logging
import sys

import speechbrain.core
from speechbrain.utils.distributed import if_main_process
from tqdm import tqdm

from petl_modules.utils import show

# Loggers whose notes a user needs. Of all others the terminal shows warnings
# alone, and not even those of Python's warnings module
SHOWN = (
    *("petl_modules.runs", "petl_modules.training.hidden_cache"),
    "speechbrain.utils.train_logger",
)


class Terminal(logging.Handler):
    """A handler that shows what concerns a user."""

    def emit(self, record):
        """Print notes of ``SHOWN``, and warnings on the standard error."""
        note = record.levelno == logging.INFO and record.name.startswith(SHOWN)
        warning = record.levelno >= logging.WARNING
        if not note and (not warning or record.name == "py.warnings"):
            return
        try:
            if note:
                show(record.getMessage())
            else:
                level = record.levelname.lower()
                show(f"{level}: {record.getMessage()}", sys.stderr)
        except OSError:  # nobody reads; the file has it
            pass
        except Exception:
            self.handleError(record)


class LogFile(logging.FileHandler):
    """A handler that appends every record to a file."""

    def __init__(self, path):
        super().__init__(
            path, encoding="utf-8", errors="backslashreplace", delay=True
        )
        # Processes that train folds of one run share its log
        parts = ("asctime", "process", "name", "levelname", "message")
        form = " - ".join(f"%({part})s" for part in parts)
        self.setFormatter(logging.Formatter(form))

    def handleError(self, record):
        """Go on without this file, such as on a full disk, and tell so."""
        logging.getLogger().removeHandler(self)
        why = sys.exc_info()[1]
        text = f"warning: no more is logged in {self.baseFilename}: {why}"
        show(text, sys.stderr)


def log_to(path=None):
    """Log to a file from now on, and to the terminal what a user needs.

    Processes other than the main one log nothing.

    Arguments
    ---------
    path : pathlib.Path or None
        The file, which is appended to. A missing folder is made. None: only
        the terminal.

    Returns
    -------
    pathlib.Path or None
        The same.
    """
    stop_logging()
    root = logging.getLogger()
    if if_main_process():
        root.addHandler(Terminal())
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            root.addHandler(LogFile(path))
    else:
        root.addHandler(logging.NullHandler())
    root.setLevel(logging.DEBUG)
    logging.captureWarnings(path is not None)
    return path


def stop_logging():
    """Leave the root logger as it was before ``log_to``."""
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, (Terminal, LogFile, logging.NullHandler)):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.WARNING)
    logging.captureWarnings(False)


def prepare_terminal():
    """Leave out what libraries say to every user of theirs.

    Bars disappear when they are full, and where the output is no terminal.
    SpeechBrain has no option for that.
    """
    speechbrain.core.tqdm = progress_bar
    logger = logging.getLogger("speechbrain.utils.train_logger")
    logger.addFilter(lambda record: "torchvision" not in record.getMessage())


def progress_bar(*args, disable=False, **options):
    """Return a ``tqdm`` bar that leaves nothing behind."""
    return tqdm(*args, disable=disable or None, leave=False, **options)
