"""Rows of bytes in memory-mapped files that are whole or not there.

A shard is the rows one behind the other, their index, and a tail that seals
the index. A row is found by a SHA-256.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import mmap
import os
import struct
import zlib

import numpy as np
from speechbrain.utils.logger import get_logger

from petl_modules.utils import flush_folder

logger = get_logger(__name__)


FULL = 128 << 20  # bytes of a shard


PLACE = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u8"),
        ("check", "<u4"),  # CRC-32 of the row
        ("shard", "<u4"),  # 0 in a file, numbered when read
    ]
)


ROW = np.dtype([("sha256", "S32"), ("place", PLACE)])


TAIL = struct.Struct("<Q32s")  # how many rows, and the index's SHA-256


def find(keys, wanted):
    """Where each wanted key is among sorted ones.

    Arguments
    ---------
    keys : numpy.ndarray
        Keys of one length, sorted.
    wanted : numpy.ndarray
        What to look for.

    Returns
    -------
    numpy.ndarray
        Places in ``keys``, and -1 for what is not there.

    Example
    -------
    >>> find(np.array([b"a", b"c"]), np.array([b"c", b"b"])).tolist()
    [1, -1]
    """
    if not len(keys):
        return np.full(len(wanted), -1)
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def read_index(path):
    """Reads the index of a shard.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    numpy.ndarray
        A ``ROW`` each.

    Raises
    ------
    ValueError
        If the file is not one that ``ShardWriter`` has finished.
    """
    with open(path, "rb") as stream:
        end = stream.seek(0, os.SEEK_END) - TAIL.size
        stream.seek(max(end, 0))
        tail = stream.read()
        count, digest = TAIL.unpack(tail) if end > 0 else (0, b"")
        start = end - count * ROW.itemsize
        if start <= 0 or not count:
            raise ValueError(f"{path} is cut")
        stream.seek(start)
        content = stream.read(end - start)
    index = np.frombuffer(content, ROW).copy()
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is cut or damaged")
    if index["place"]["size"].sum() != start:
        raise ValueError(f"{path} lacks rows")
    return index


class ShardWriter:
    """Puts rows into new shards; each counts once it is whole on the disk.

    Arguments
    ---------
    folder : pathlib.Path
        Where the shards go. No other process may write there.
    """

    def __init__(self, folder):
        self.folder = folder
        self.stream = None

    def add(self, sha256, values):
        """Adds a row.

        Arguments
        ---------
        sha256 : bytes
            What it is found by.
        values : numpy.ndarray
            Contiguous.
        """
        if self.stream is None:
            self.temporary = self.folder / f".rows.{os.getpid()}.tmp"
            self.stream = open(self.temporary, "wb")
            self.index, self.size = [], 0
        self.stream.write(values)
        place = self.size, values.nbytes, zlib.crc32(values), 0
        self.index.append((sha256, place))
        self.size += values.nbytes
        if self.size >= FULL:
            self.finish()

    def finish(self):
        """Makes a shard of the rows so far, even if the last ``add`` failed."""
        if self.stream is None:
            return
        stream, self.stream = self.stream, None
        index = np.array(self.index, ROW).tobytes()
        digest = hashlib.sha256(index).digest()
        try:
            with stream:
                stream.seek(self.size)
                stream.truncate()  # a row that was begun
                stream.write(index + TAIL.pack(len(self.index), digest))
                stream.flush()
                os.fsync(stream.fileno())
            if self.index:
                # Another content gets another name: readers may have it open
                name = f"{digest.hex()[:16]}.rows"
                os.replace(self.temporary, self.folder / name)
                flush_folder(self.folder)
        finally:
            self.temporary.unlink(missing_ok=True)


class Rows:
    """The rows of all shards of a folder, as they are now.

    Arguments
    ---------
    folder : pathlib.Path
        Where the shards are.

    Attributes
    ----------
    index : numpy.ndarray
        A ``ROW`` each, sorted by SHA-256.
    paths : list of pathlib.Path
        The shards.
    damaged : list of pathlib.Path
        Shards that are left out.
    """

    def __init__(self, folder):
        self.paths, self.damaged = [], []
        parts = [np.empty(0, ROW)]
        for path in sorted(folder.glob("*.rows")):
            try:
                part = read_index(path)
            except (ValueError, FileNotFoundError):  # removed just now
                self.damaged.append(path)
                continue
            part["place"]["shard"] = len(self.paths)
            self.paths.append(path)
            parts.append(part)
        index = np.concatenate(parts)
        self.index = index[np.unique(index["sha256"], return_index=True)[1]]

    def find(self, sha256s):
        """Numbers of rows, -1 for those that are not there."""
        return find(self.index["sha256"], sha256s)

    def reader(self, numbers):
        """A ``RowReader`` of some rows in some order."""
        return RowReader(self.paths, self.index["place"][numbers])


class RowReader:
    """Reads rows from maps that are opened when they are needed.

    It is small and pickles without the maps.

    Arguments
    ---------
    paths : list of pathlib.Path
        The shards.
    places : numpy.ndarray
        The ``PLACE`` of each row.
    """

    def __init__(self, paths, places):
        self.paths = paths
        self.places = places
        self.maps = {}

    def __getstate__(self):
        return {**self.__dict__, "maps": {}}

    def read(self, number):
        """A row.

        Arguments
        ---------
        number : int
            Which of the places.

        Returns
        -------
        memoryview or None
            Bytes in the map, read-only. None if they are not those that were
            written, or their shard is gone, which a warning tells.
        """
        offset, size, check, shard = self.places[number].item()
        try:
            content = self._map(shard)[offset : offset + size]
            if zlib.crc32(content) == check:
                return content
            reason = "is damaged: delete it"
        except (OSError, ValueError) as error:
            reason = f"cannot be read ({error})"
        logger.warning_once(
            f"{self.paths[shard]} {reason}. Its clips are computed instead, "
            "and cached anew by the next run"
        )
        return None

    def _map(self, shard):
        """The map of a shard, opened when this process first reads it."""
        if shard not in self.maps:
            with open(self.paths[shard], "rb") as stream:
                descriptor = stream.fileno()
                content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self.maps[shard] = memoryview(content)
        return self.maps[shard]
