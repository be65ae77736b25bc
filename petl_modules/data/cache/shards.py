"""Shards of a feature cache: safetensors files that are written atomically.

A shard holds ``values`` (all rows, concatenated) and the index of the rows:
``keys`` ``[rows, 16]``, ``ends`` in ``values``, and a CRC-32 of each row as
``checks``. The CRC-32 of the index is in the metadata.
"""

import hashlib
import zlib

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from petl_modules.utils import DataError, write_bytes

FULL = 32 << 20  # bytes; a shard is kept in memory until it is complete
INDEX = ("keys", "ends", "checks")
KEY = np.dtype("S16")
ROW = np.dtype(
    [
        ("key", KEY),
        ("start", "<i8"),
        ("end", "<i8"),
        ("check", "<i8"),
        ("shard", "<i4"),
    ]
)


class ShardWriter:
    """Write rows to new shards.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the shards. No other process may write there.
    """

    def __init__(self, folder):
        self.folder = folder
        self.rows, self.size = [], 0

    def add(self, key, values):
        """Add a row.

        Arguments
        ---------
        key : bytes
            The row's key, 16 bytes.
        values : numpy.ndarray
            The row. All rows have the same dtype.
        """
        self.rows.append((key, values.ravel()))
        self.size += values.nbytes
        if self.size >= FULL:
            self.finish()

    def finish(self):
        """Write the rows added so far as a shard."""
        rows, self.rows, self.size = self.rows, [], 0
        if not rows:
            return
        tensors = {
            "keys": np.frombuffer(b"".join(key for key, _ in rows), np.uint8),
            "ends": np.cumsum([row.size for _, row in rows]),
            "checks": np.array([zlib.crc32(row) for _, row in rows]),
            "values": np.concatenate([row for _, row in rows]),
        }
        content = save(tensors, {"index": _index_check(tensors)})
        # The name depends on the rows: readers may have an older file open
        name = hashlib.sha256(tensors["keys"]).hexdigest()[:16]
        write_bytes(self.folder / f"{name}.safetensors", content)


def _index_check(tensors):
    """Return the CRC-32 of a shard's index as text."""
    return str(zlib.crc32(b"".join(tensors[name] for name in INDEX)))


def read_index(path):
    """Read the index of a shard.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    numpy.ndarray
        The rows of the shard, dtype ``ROW``.

    Raises
    ------
    ValueError
        The file is not a complete shard of ``ShardWriter``.
    """
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in INDEX}
            check = (file.metadata() or {}).get("index")
            size = file.get_slice("values").get_shape()[0]
    except SafetensorError as error:
        raise ValueError(f"{path} is cut or damaged ({error})") from error
    ends = tensors["ends"]
    if check != _index_check(tensors) or ends[-1] != size:
        raise ValueError(f"{path} is damaged")
    index = np.zeros(len(ends), ROW)
    index["key"] = tensors["keys"].view(KEY)
    index["start"][1:], index["end"] = ends[:-1], ends
    index["check"] = tensors["checks"]
    return index


class Rows:
    """Read the rows of the shards that are in a folder at construction.

    Open files are not pickled.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the shards.

    Attributes
    ----------
    index : numpy.ndarray
        All rows, dtype ``ROW``, sorted by key.
    paths : list of pathlib.Path
        The shards.
    damaged : list of pathlib.Path
        Damaged shards, which are ignored.
    """

    def __init__(self, folder):
        self.paths, self.damaged, self.open = [], [], {}
        parts = [np.empty(0, ROW)]
        for path in sorted(folder.glob("*.safetensors")):
            try:
                part = read_index(path)
            except (ValueError, FileNotFoundError):  # removed just now
                self.damaged.append(path)
                continue
            part["shard"] = len(self.paths)
            self.paths.append(path)
            parts.append(part)
        index = np.concatenate(parts)
        self.index = index[np.unique(index["key"], return_index=True)[1]]

    def __getstate__(self):
        return {**self.__dict__, "open": {}}

    def find(self, keys):
        """Find rows by key.

        Arguments
        ---------
        keys : numpy.ndarray
            Keys of the rows, dtype ``KEY``.

        Returns
        -------
        numpy.ndarray
            Positions in the index; -1 for a missing row.
        """
        if not len(self.index):
            return np.full(len(keys), -1)
        places = np.searchsorted(self.index["key"], keys)
        places = places.clip(max=len(self.index) - 1)
        return np.where(self.index["key"][places] == keys, places, -1)

    def read(self, key):
        """Read a row.

        Arguments
        ---------
        key : bytes
            The row's key.

        Returns
        -------
        numpy.ndarray or None
            A copy of the row. None: there is none.

        Raises
        ------
        DataError
            The row is damaged or cannot be read.
        """
        place = self.find(np.array([key], KEY))[0]
        if place < 0:
            return None
        _, start, end, check, shard = self.index[place].item()
        try:
            row = self._values(shard)[start:end]
        except (OSError, SafetensorError) as error:
            reason = f"cannot be read ({error})"
            raise DataError(f"{self.paths[shard]} {reason}") from error
        if zlib.crc32(row) != check:
            raise DataError(f"{self.paths[shard]} is damaged: delete it")
        return row

    def _values(self, shard):
        """Return a shard's values, memory-mapped in this process."""
        if shard not in self.open:
            file = safe_open(self.paths[shard], "numpy")
            self.open[shard] = file.get_slice("values")
        return self.open[shard]
