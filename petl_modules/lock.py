"""One run at a time in a folder.

Authors
 * The PETL audio recipes team 2026
"""

import fcntl
import os
import socket
import time

from petl_modules.hparams import HparamsError

HELD = {}  # open files by path: closing one would give its lock away


def lock_folder(folder):
    """Takes a folder for this process, until it ends in whatever way.

    A POSIX record lock: after a kill nothing has to be cleared.

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
        stream.seek(0)
        owner = stream.read().strip() or "another process"
        stream.close()
        raise HparamsError(
            f"{folder} is in use by {owner}. Wait for its end, stop it, or "
            "name another --output_folder"
        ) from error
    stream.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    stream.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    stream.flush()
    HELD[path] = stream
