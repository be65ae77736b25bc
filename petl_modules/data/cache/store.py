"""A store of rows that are computed once: never stale, and safe to kill.

One process at a time fills a store; others wait for it, or read.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from speechbrain.utils.logger import get_logger

from petl_modules.data.cache.shards import KEY, Rows, ShardWriter
from petl_modules.utils import (
    DataError,
    HparamsError,
    alone_in,
    refusal,
    write_json,
)

logger = get_logger(__name__)

DTYPES = ("float32", "float16")


class Store:
    """Rows by the digest of a clip, in a folder of their own.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of all stores.
    name : str
        Beginning of the subfolder's name, which ends with a hash of the facts.
    facts : dict
        Plain data: all that the rows depend on besides the clip. They are in
        the subfolder, as ``about.json``.
    dtype : str
        Of the values, ``float32`` or ``float16``.
    key : str
        The recipe file's key that names the folder, for errors.

    Attributes
    ----------
    folder : pathlib.Path
        The subfolder.

    Raises
    ------
    HparamsError
        There is no such dtype.
    """

    def __init__(self, folder, name, facts, dtype, key):
        if dtype not in DTYPES:
            raise HparamsError(
                f"no dtype '{dtype}' for {key}; there are: {', '.join(DTYPES)}"
            )
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        self.folder = Path(folder).absolute() / f"{name}-{digest}"
        self.facts = facts
        self.dtype = dtype
        self.key = key

    def missing(self, digests, rows=None):
        """Return the digests without a row.

        Arguments
        ---------
        digests : list of str
            32 hex digits each.
        rows : petl_modules.data.cache.shards.Rows or None
            None: those in the folder now.

        Returns
        -------
        list of str
        """
        rows = rows or Rows(self.folder)
        keys = np.fromiter(map(key_of, digests), KEY, len(digests))
        return [d for d, place in zip(digests, rows.find(keys)) if place < 0]

    def fill(self, digests, compute):
        """Store the missing rows; return all rows.

        If another process fills the same folder, this one waits until the
        other one is done. Stored rows are kept if this process is interrupted.

        Arguments
        ---------
        digests : list of str
            Of the clips.
        compute : callable
            Yields, for a list of digests, each digest and its values, as a
            ``numpy.ndarray`` of ``dtype``.

        Returns
        -------
        petl_modules.data.cache.shards.Rows

        Raises
        ------
        PermissionError or DataError
            The folder cannot be written to.
        """
        rows = Rows(self.folder)
        if self.missing(digests, rows):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with alone_in(self.folder):
                    self._complete(digests, compute)
            except OSError as error:
                remedy = (
                    f"make room there or name another {self.key}. What was "
                    "done before is kept"
                )
                raise refusal(self.folder, error, remedy) from error
            rows = Rows(self.folder)
        return rows

    def _complete(self, digests, compute):
        """Compute the missing rows. The folder is locked by this process."""
        for stray in self.folder.glob(".*.tmp"):  # of a killed process
            stray.unlink()
        rows = Rows(self.folder)  # another run may have filled it
        for path in rows.damaged:
            logger.warning(f"{path} is cut or damaged: it is computed again")
            path.unlink(missing_ok=True)
        wanted = self.missing(digests, rows)
        if not wanted:
            return
        write_json(self.folder / "about.json", self.facts)
        writer = ShardWriter(self.folder)
        try:
            for digest, values in compute(wanted):
                writer.add(key_of(digest), values)
        finally:
            writer.finish()

    def rounded(self, values, what):
        """Return values as they are stored.

        Arguments
        ---------
        values : numpy.ndarray
            In float32.
        what : str
            What they are, for the error.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        DataError
            They are too large for ``float16``.
        """
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values, self.dtype)
        if (np.isinf(stored) & np.isfinite(values)).any():
            raise DataError(
                f"{what} go up to {np.abs(values).max():.0f}, which float16 "
                f"cannot hold. Take {self.key}_dtype float32"
            )
        return stored


def key_of(digest):
    """Return a digest's 16 bytes."""
    return bytes.fromhex(digest)
