"""One run at a time in a folder.

POSIX record locks: after a kill nothing has to be cleared.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import fcntl
import os
import socket
import time

from speechbrain.utils.logger import get_logger

from petl_modules.utils.errors import HparamsError

logger = get_logger(__name__)


HELD = {}  # open files by path: closing one would give its lock away


def lock_folder(folder):
    """Takes a folder for this process, until it ends in whatever way.

    Arguments
    ---------
    folder : pathlib.Path
        The folder. It is there.

    Raises
    ------
    HparamsError
        If another process has it; names that process.
    """
    path = (folder / ".lock").resolve()
    if path in HELD and not HELD[path].closed and path.exists():
        return
    stream = open(path, "a+", encoding="utf-8")
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(stream)
        stream.close()
        raise HparamsError(
            f"{folder} is in use by {owner}. Wait for its end, stop it, or "
            "name another --output_folder"
        ) from error
    _sign(stream)
    HELD[path] = stream


@contextlib.contextmanager
def alone_in(folder):
    """Waits until no other process is in here, and keeps others out.

    Arguments
    ---------
    folder : pathlib.Path
        The folder. It is there.
    """
    with open(folder / ".lock", "a+", encoding="utf-8") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            logger.warning(
                f"waiting for {_owner(stream)}, which fills {folder}"
            )
            fcntl.lockf(stream, fcntl.LOCK_EX)
        _sign(stream)
        yield


def _owner(stream):
    """What the process that holds a lock has written into it."""
    stream.seek(0)
    return stream.read().strip() or "another process"


def _sign(stream):
    """Writes into a lock who holds it."""
    stream.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    stream.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    stream.flush()
