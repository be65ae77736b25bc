"""A command ends with the process that has started it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from petl_modules.sweeps.cell_run import LEASH

STARTS = """
import os, subprocess, sys
command = [sys.executable, "-c", "print('up', flush=True); input()"]
leash = [sys.executable, sys.argv[1], str(os.getpid())]
process = subprocess.Popen([*leash, *command], stdin=subprocess.PIPE)
print(process.pid, flush=True)
process.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no such thing")
def test_command_ends_with_its_parent():
    words = [sys.executable, "-c", STARTS, LEASH]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        lines = {parent.stdout.readline(), parent.stdout.readline()}
        (command,) = (int(line) for line in lines - {"up\n"})
        parent.kill()
        assert parent.stdout.read() == ""  # the command held it open, and ended
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(command, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(command, signal.SIGKILL)
    raise AssertionError("the command has outlived its parent")


def test_exit_code_is_the_commands():
    exits = [sys.executable, "-c", "raise SystemExit(7)"]
    words = [sys.executable, LEASH, str(os.getpid()), *exits]
    assert subprocess.run(words).returncode == 7


def test_command_can_be_interrupted_where_the_sweep_cannot():
    """As in a script that starts the sweep by ``&``."""
    tells = "import signal as s; exit(s.getsignal(2) != s.default_int_handler)"
    words = [sys.executable, LEASH, str(os.getpid()), sys.executable, "-c"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert subprocess.run([*words, tells]).returncode == 0
    finally:
        signal.signal(signal.SIGINT, before)
