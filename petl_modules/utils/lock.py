"""Folder locks: one run at a time in a folder.

The locks are POSIX record locks (``lockf``): they end with the process that
took them, and forked workers do not inherit them. A lock by ``flock``, as in
the filelock library, would be held by the workers of a killed run until they
end as well.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import sys
import time

from speechbrain.utils.logger import get_logger

from petl_modules.utils.errors import HparamsError
from petl_modules.utils.reading import other_kind

logger = get_logger(__name__)

UNLOCKED = "PETL_NO_LOCKS"  # set to 1: take no locks
BUSY = (errno.EAGAIN, errno.EACCES)  # another process has the lock
NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

# The system's record of a lock (struct flock): its fields, and their layout
FIELDS = ("l_type", "l_whence", "l_start", "l_len", "l_pid")
RECORD = "hhqqi"
if sys.platform == "darwin":
    FIELDS = ("l_start", "l_len", "l_pid", "l_type", "l_whence")
    RECORD = "qqihh"

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
        If another process has locked the folder, with that process; or if the
        file system has no locks, see ``_open`` and ``_lock``.
    """
    path = (folder / ".lock").resolve()
    if path in HELD and path.exists():
        return
    stream = _open(path)
    if not _lock(stream, fcntl.LOCK_NB):
        owner = _owner(stream)
        stream.close()
        raise HparamsError(
            f"{folder} is in use by {owner}. Wait for its end, stop it, or "
            "name another --output_folder"
        )
    HELD[path] = stream


@contextlib.contextmanager
def alone_in(folder):
    """Wait until no other process has locked a folder, and lock it.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which must exist.

    Raises
    ------
    HparamsError
        If the file system has no locks, see ``_open`` and ``_lock``.
    """
    with _open(folder / ".lock") as stream:
        if not _lock(stream, fcntl.LOCK_NB):
            logger.warning(
                f"waiting for {_owner(stream)}, which fills {folder}"
            )
            _lock(stream)
        yield


@contextlib.contextmanager
def try_lock(path):
    """Lock a file for a while, if no other process has locked it.

    Arguments
    ---------
    path : pathlib.Path
        The file, which is made. Its folder must exist.

    Yields
    ------
    bool
        False: another process has locked it.

    Raises
    ------
    HparamsError
        If the file system has no locks, see ``_open`` and ``_lock``.
    """
    with _open(path) as stream:
        yield _lock(stream, fcntl.LOCK_NB)


def is_locked(path):
    """Return whether a process has locked a file; the file is left alone.

    Taking the lock to see whether it is free could refuse it to a run that
    starts at that moment.

    Arguments
    ---------
    path : pathlib.Path
        The file of a lock, which may be missing.

    Returns
    -------
    bool
        False, too, where the file system has no locks.
    """
    if path.resolve() in HELD:  # closing another file would release it
        return True
    wanted = {"l_type": fcntl.F_WRLCK, "l_whence": os.SEEK_SET}
    record = struct.pack(RECORD, *(wanted.get(name, 0) for name in FIELDS))
    try:
        with open(path, "rb") as stream:
            found = fcntl.fcntl(stream, fcntl.F_GETLK, record)
    except OSError:
        return False
    values = struct.unpack(RECORD, found[: struct.calcsize(RECORD)])
    return dict(zip(FIELDS, values))["l_type"] != fcntl.F_UNLCK


def _open(path):
    """Open the file of a lock.

    Raises
    ------
    HparamsError
        It is no file, or cannot be opened.
    """
    if kind := other_kind(path):
        raise HparamsError(
            f"{path} is {kind}, where the file of a lock belongs: remove it, "
            "or name another folder"
        )
    try:
        return open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise HparamsError(
            f"{path} cannot be opened ({error.strerror}): name another folder"
        ) from error


def _lock(stream, options=0):
    """Lock a file, and write into the file which process holds the lock.

    Returns
    -------
    bool
        False: another process has it.

    Raises
    ------
    HparamsError
        The file system has no locks, and the environment variable
        ``PETL_NO_LOCKS`` is not 1.
    """
    if os.environ.get(UNLOCKED) != "1":
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | options)
        except OSError as error:
            if error.errno in BUSY:
                return False
            none = ": its file system has no locks" * (error.errno in NONE)
            raise HparamsError(
                f"{stream.name} cannot be locked ({error.strerror}){none}. "
                f"Name a folder on another disk, or set {UNLOCKED}=1 and start "
                "one run at a time in this folder"
            ) from error
    stream.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    stream.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    stream.flush()
    return True


def _owner(stream):
    """Return which process has locked a file."""
    stream.seek(0)
    return stream.read(200).strip() or "another process"
