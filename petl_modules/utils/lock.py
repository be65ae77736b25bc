"""Folder locks: one process at a time in a folder.

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

LOCK = ".lock"
UNLOCKED = "PETL_NO_LOCKS"  # set to 1: take no locks
BUSY = (errno.EAGAIN, errno.EACCES)  # another process has the lock
NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
# struct flock: type, whence, start, length, process; on macOS start, length,
# process, type, whence
FLOCK, TYPE = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi4x", 0)

HELD = {}  # open files by path: closing any file of a lock releases the lock
os.register_at_fork(after_in_child=HELD.clear)  # the locks are the parent's


def lock_folder(folder):
    """Lock a folder for this process, until it unlocks the folder or ends.

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
    path = _path(folder)
    if _is_held(path):
        return
    stream = _open(path)
    if not _lock(stream, fcntl.LOCK_NB):
        owner = _owner(stream)
        stream.close()
        raise HparamsError(
            f"{folder} is in use by {owner}. Wait for its end, or stop it"
        )
    HELD[path] = stream


def unlock_folder(folder):
    """Let go of a folder that this process may have locked."""
    if stream := HELD.pop(_path(folder), None):
        stream.close()


def holder(folder, name=LOCK):
    """Return which other process has locked a folder.

    The lock is only asked about: nobody who takes it meanwhile is refused.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        The file of another lock in it, see ``try_lock``.

    Returns
    -------
    str or None
        The process, in words. None: no other one has locked it.

    Raises
    ------
    HparamsError
        If the file system has no locks, see ``_open``.
    """
    path = _path(folder, name)
    if _is_held(path) or not path.exists() or _is_unlocked():
        return None
    with _open(path, "r") as stream:
        wanted = [0] * 5
        wanted[TYPE] = fcntl.F_WRLCK
        try:
            asked = struct.pack(FLOCK, *wanted)
            found = fcntl.fcntl(stream, fcntl.F_GETLK, asked)
        except OSError as error:
            raise _refusal(stream, error) from error
        if struct.unpack(FLOCK, found)[TYPE] == fcntl.F_UNLCK:
            return None
        return _owner(stream)


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
    path = _path(folder)
    if _is_held(path):  # opened again, it would be released by the close
        yield
        return
    with _open(path) as stream:
        if not _lock(stream, fcntl.LOCK_NB):
            logger.warning(
                f"waiting for {_owner(stream)}, which writes to {folder}"
            )
            _lock(stream)
        HELD[path] = stream
        try:
            yield
        finally:
            HELD.pop(path, None)


@contextlib.contextmanager
def try_lock(folder, name=LOCK):
    """Lock a folder for a while, if it is not locked.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which must exist.
    name : str
        The lock's file in it: locks of several files are independent.

    Yields
    ------
    bool
        False: this process or another one has locked it.

    Raises
    ------
    HparamsError
        If the file system has no locks, see ``_open`` and ``_lock``.
    """
    path = _path(folder, name)
    if _is_held(path):
        yield False
        return
    with _open(path) as stream:
        free = _lock(stream, fcntl.LOCK_NB)
        if free:
            HELD[path] = stream
        try:
            yield free
        finally:
            if free:
                HELD.pop(path, None)


def _path(folder, name=LOCK):
    """Return the path of a folder's lock."""
    return (folder / name).resolve()


def _is_held(path):
    """Tell whether this process has a lock, and its file is still there."""
    if path not in HELD or not path.exists():
        return False
    return os.path.samestat(os.fstat(HELD[path].fileno()), path.stat())


def _is_unlocked():
    """Tell whether the user goes without locks."""
    return os.environ.get(UNLOCKED) == "1"


def _open(path, mode="a+"):
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
        return open(path, mode, encoding="utf-8")
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
    if not _is_unlocked():
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | options)
        except OSError as error:
            if error.errno in BUSY:
                return False
            raise _refusal(stream, error) from error
    stream.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    stream.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    stream.flush()
    return True


def _refusal(stream, error):
    """Return the error of a file that cannot be locked."""
    none = ": its file system has no locks" * (error.errno in NONE)
    return HparamsError(
        f"{stream.name} cannot be locked ({error.strerror}){none}. Name a "
        f"folder on another disk, or set {UNLOCKED}=1 and start one process "
        "at a time in this folder"
    )


def _owner(stream):
    """Return which process has locked a file."""
    stream.seek(0)
    return stream.read(200).strip() or "another process"
