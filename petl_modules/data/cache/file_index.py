"""Which content files have, without reading them again.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import os
import time
from pathlib import Path

import numpy as np

from petl_modules.data.cache.shards import find
from petl_modules.utils import write_bytes

KEY = np.dtype("S16")


SHA256 = np.dtype("S32")


FILE = np.dtype([("state", KEY), ("sha256", SHA256)])


AT_REST = 2_000_000_000  # ns; the times of a younger file prove nothing


def key_of(text):
    """16 bytes that stand for a text of any length."""
    content = os.fsencode(text)
    return hashlib.blake2b(content, digest_size=KEY.itemsize).digest()


def file_state(path):
    """A digest of a file's path, number (inode), size and times.

    Nobody can set the time of a file's last change (ctime), so a file in a
    state that was seen before has the content that it had then.

    Arguments
    ---------
    path : str
        The file, absolute.

    Returns
    -------
    bytes
        Empty if it is not there, or was changed so lately that it may change
        again within the same tick of the clock.
    """
    try:
        stat = os.stat(path)
    except OSError:
        return b""
    if stat.st_ctime_ns > time.time_ns() - AT_REST:
        return b""
    times = stat.st_mtime_ns, stat.st_ctime_ns
    return key_of(f"{path}/{stat.st_ino}/{stat.st_size}/{times}")


def file_sha256(path):
    """SHA-256 of a file's content."""
    return hashlib.sha256(Path(path).read_bytes()).digest()


class KnownFiles:
    """A table of states and contents on the disk.

    It needs no check: an entry that is cut or damaged fits no file.

    Arguments
    ---------
    path : pathlib.Path
        The table, made by ``add``.
    """

    def __init__(self, path):
        self.path = path

    def _read(self):
        """A ``FILE`` each, sorted by state."""
        if not self.path.exists():
            return np.empty(0, FILE)
        content = self.path.read_bytes()
        whole = len(content) - len(content) % FILE.itemsize
        return np.frombuffer(content[:whole], FILE)

    def sha256s(self, states):
        """Contents of files.

        Arguments
        ---------
        states : numpy.ndarray
            As ``file_state`` gives them.

        Returns
        -------
        numpy.ndarray
            SHA-256 of each, empty where it is not known.
        """
        table = self._read()
        places = find(table["state"], states)
        known = (places >= 0) & (states != b"")
        found = np.zeros(len(states), SHA256)
        found[known] = table["sha256"][places[known]]
        return found

    def add(self, states, sha256s):
        """Adds what is known now; empty states or contents are left out.

        Arguments
        ---------
        states : numpy.ndarray
            As ``file_state`` gives them.
        sha256s : numpy.ndarray
            Their contents.
        """
        known = (states != b"") & (sha256s != b"")
        new = np.empty(known.sum(), FILE)
        new["state"], new["sha256"] = states[known], sha256s[known]
        table = np.concatenate([new, self._read()])  # the first of two counts
        table = table[np.unique(table["state"], return_index=True)[1]]
        write_bytes(self.path, table.tobytes())
