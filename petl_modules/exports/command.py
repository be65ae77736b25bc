"""What the commands that write a folder have in common."""

import contextlib
import sys

from petl_modules.libraries import INTERRUPTED, raise_if_interrupted
from petl_modules.runs.logs import log_to, stop_logging
from petl_modules.utils import UserError, fail, show


@contextlib.contextmanager
def writing():
    """Show warnings; end with one line for what a user or a disk did wrong.

    Ctrl-C raises an exception within, so that nothing half-written is left.
    """
    raise_if_interrupted()
    log_to()
    try:
        yield
    except (UserError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        show("interrupted", sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        stop_logging()
