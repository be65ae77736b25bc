"""Start a command that does not outlive the process which has started it.

``python leash.py PARENT COMMAND...``, with the parent's process number. On
Linux the system then kills the command as soon as the parent has ended: a
killed engine, or one that the system ends for its memory, leaves no command
behind that nobody watches. The command takes the place of this process. A file
of its own, as code between ``fork`` and ``exec`` is not safe beside threads.
"""

import ctypes
import os
import signal
import sys

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, which outlasts exec


def main(parent, *command):
    """Replace this process by a command that ends with its parent.

    Arguments
    ---------
    parent : str
        The parent's process number.
    *command : str
        The words of the command; the first is a path.
    """
    # A shell lets what it starts by '&' ignore Ctrl-C; the command is stopped
    # by this signal. The parent has blocked it: one sent by now waits, and acts
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != int(parent):  # it had ended before
            sys.exit(-signal.SIGKILL)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
