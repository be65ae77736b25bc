"""Run one cell: start its command, and leave what became of it in files."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from petl_modules.libraries import INTERRUPTED
from petl_modules.sweeps.staging import stage
from petl_modules.sweeps.states import (
    CLAIM,
    ERROR,
    OUTPUT,
    is_done,
    is_training,
    write_error,
)
from petl_modules.utils import UserError, brief, show, try_lock

BUSY = 75  # exit code of a cell that another process is at (EX_TEMPFAIL)
NOT_STARTED = 71  # of one whose command cannot be started (EX_OSERR)
UNFINISHED = 70  # of one without an end of its own (EX_SOFTWARE)
PATIENCE = 120  # seconds until the locks of a machine that failed are free
LEASH = str(Path(__file__).with_name("leash.py"))
LINES = 30  # of the output that ``error.json`` keeps
LONGEST = 1 << 16  # bytes of the output that they are taken from

RUNNING = set()  # the commands that this process has started
STOPPED = threading.Event()


def run_cell(cell):
    """Run a cell: start its command line and wait for its end.

    A finished cell is left as it is. A failed one is tried again, and resumes
    from its last checkpoint. The output is appended to ``output.txt`` in the
    cell's folder.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.

    Returns
    -------
    int
        0: it is finished. ``BUSY``: another process is at it. ``INTERRUPTED``:
        it was stopped, and waits. Else the command's exit code (below 0: the
        signal that ended it), and ``error.json`` says why.

    Raises
    ------
    HparamsError
        The disk has no locks, see ``petl_modules.utils.lock_folder``.
    """
    if is_done(cell):
        return 0
    try:
        cell.place.mkdir(parents=True, exist_ok=True)
        with try_lock(cell.place, CLAIM) as free:
            if not free or is_training(cell):
                return BUSY
            if is_done(cell):  # since we looked
                return 0
            return _try(cell)
    except OSError as error:
        show(f"{cell.place}: {brief(error)}", sys.stderr)
        return NOT_STARTED


def run_when_free(cell, patience=PATIENCE):
    """Run a cell; where another process is at it, wait for a while.

    After the failure of a machine, its locks are held for some time.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.
    patience : float
        Seconds to wait.

    Returns
    -------
    int
        See ``run_cell``.
    """
    end = time.monotonic() + patience
    while (code := run_cell(cell)) == BUSY and time.monotonic() < end:
        time.sleep(1)
    return code


def stop_cells(force=False):
    """Stop the cells that this process runs, and start no more.

    Arguments
    ---------
    force : bool
        Whether to kill their commands, which else end by themselves.
    """
    STOPPED.set()
    for process in [*RUNNING]:
        if process.poll() is not None:
            continue
        if force:
            _kill(process)
        else:
            process.send_signal(signal.SIGINT)


def _kill(process):
    """Kill a command and its workers."""
    with contextlib.suppress(ProcessLookupError):  # it has ended just now
        os.killpg(process.pid, signal.SIGKILL)


def _try(cell):
    """Run the command of a claimed cell, and write what became of it."""
    error = cell.place / ERROR
    error.unlink(missing_ok=True)
    start = time.monotonic()
    with open(cell.place / OUTPUT, "ab") as output:
        before = output.tell()
        code = _stage_and_call(cell, output)
    if code == 0 or STOPPED.is_set() or code == INTERRUPTED:
        return code and INTERRUPTED
    if is_training(cell):  # a command that a killed sweep has left behind
        return BUSY
    try:
        lines = last_lines(cell.place / OUTPUT, before)
        write_error(cell, code, lines, time.monotonic() - start)
    except OSError as problem:  # a full disk, for one
        show(f"{error} cannot be written: {brief(problem)}", sys.stderr)
    return code


def _stage_and_call(cell, output):
    """Run a cell's command where its data are; return its exit code."""
    try:
        cell = stage(cell) if cell.archives else cell
    except (UserError, OSError) as error:
        output.write(f"error: {error}\n".encode())
        return NOT_STARTED
    return call(cell.command, cell, output)


def call(command, cell, output):
    """Start a command in a cell's directory and wait for its end.

    It gets a process group of its own: Ctrl-C reaches this process alone,
    which then stops the commands in order. It ends with this process.

    Arguments
    ---------
    command : list of str
        The words.
    cell : petl_modules.sweeps.Cell
        Whose directory and environment it gets.
    output : file
        What it prints goes there.

    Returns
    -------
    int
        Its exit code.
    """
    if STOPPED.is_set():
        return INTERRUPTED
    # The leash lets the signal through when it heeds it: none is lost before
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(
            [sys.executable, "-S", LEASH, str(os.getpid()), *command],
            cwd=cell.directory,
            env={**os.environ, **cell.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        RUNNING.add(process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        if STOPPED.is_set():  # while it was started
            process.send_signal(signal.SIGINT)
        return process.wait()
    except BaseException:  # an engine ends this process
        _kill(process)
        process.wait()
        raise
    finally:
        RUNNING.discard(process)


def last_lines(file, start=0):
    """Return the last lines of what was written to a file.

    Arguments
    ---------
    file : pathlib.Path
        The file.
    start : int
        Where to begin, in bytes.

    Returns
    -------
    list of str
        At most ``LINES``.
    """
    with open(file, "rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, end - LONGEST))
        text = stream.read(LONGEST).decode("utf-8", "replace")
    return text.splitlines()[-LINES:]
