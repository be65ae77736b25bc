"""Folder locks: one run at a time in a folder.

The locks are POSIX record locks (``lockf``): they end with the process that
took them, and forked workers do not inherit them. A lock by ``flock``, as in
the filelock library, would be held by the workers of a killed run until they
end as well.
"""

import contextlib
import fcntl
import os
import socket
import time

from speechbrain.utils.logger import get_logger

from petl_modules.utils.errors import HparamsError

logger = get_logger(__name__)

HELD = {}  # open files by path: closing any file of a lock releases the lock


def lock_folder(folder):
    """Lock a folder for this process, until the process ends.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which must exist.

    Raises
    ------
    HparamsError
        If another process has locked the folder; names that process.
    """
    path = (folder / ".lock").resolve()
    if path in HELD and path.exists():
        return
    stream = open(path, "a+", encoding="utf-8")
    try:
        _lock(stream, fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(stream)
        stream.close()
        raise HparamsError(
            f"{folder} is in use by {owner}. Wait for its end, stop it, or "
            "name another --output_folder"
        ) from error
    HELD[path] = stream


@contextlib.contextmanager
def alone_in(folder):
    """Wait until no other process has locked a folder, and lock it.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which must exist.
    """
    with open(folder / ".lock", "a+", encoding="utf-8") as stream:
        try:
            _lock(stream, fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            logger.warning(
                f"waiting for {_owner(stream)}, which fills {folder}"
            )
            _lock(stream)
        yield


def _lock(stream, options=0):
    """Lock a file, and write into the file which process holds the lock."""
    fcntl.lockf(stream, fcntl.LOCK_EX | options)
    stream.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    stream.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    stream.flush()


def _owner(stream):
    """Return which process has locked a file."""
    stream.seek(0)
    return stream.read().strip() or "another process"
