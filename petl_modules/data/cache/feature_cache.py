"""Compute features once for all folds, methods and runs.

The key of a clip's features is the digest of its samples. The folder's name is
a hash of everything else that the features depend on.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger
from torch.utils.data import DataLoader
from tqdm import tqdm

from petl_modules.data import audio_path, load_features
from petl_modules.data.cache.datasets import (
    CachedClips,
    MissingClips,
    key_of,
)
from petl_modules.data.cache.fingerprint import feature_facts
from petl_modules.data.cache.shards import KEY, Rows, ShardWriter
from petl_modules.utils import (
    DataError,
    HparamsError,
    UserError,
    alone_in,
    refusal,
    write_json,
)

logger = get_logger(__name__)

DTYPES = ("float32", "float16")


class FeatureCache:
    """Keep features of audio files on the disk.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of all caches. Each set of parameters has a subfolder, with the
        parameters in ``about.json``.
    features : callable
        See ``petl_modules.data.load_features``. All attributes are plain
        data.
    dtype : str
        ``float32``: values come back bit for bit. ``float16``: half the
        space, values rounded to 11 binary digits.
    num_workers : int
        Number of processes that compute missing features; 0: this process.

    Attributes
    ----------
    folder : pathlib.Path
        The subfolder of these parameters.

    Raises
    ------
    HparamsError
        There is no such dtype; see ``feature_facts``.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from petl_modules.data import FilterBank, check_audio
    >>> data = Path(tempfile.mkdtemp())
    >>> soundfile.write(data / "a.wav", np.zeros(16_000), 16_000)
    >>> (facts,) = check_audio([data / "a.wav"])
    >>> record = {"wav": "{data_root}/a.wav", **facts._asdict()}
    >>> cache = FeatureCache(data / "cache", FilterBank(frames=100))
    >>> load = cache.fill({"a": record}, data)
    >>> load("{data_root}/a.wav", record["digest"]).shape
    torch.Size([100, 128])
    """

    def __init__(self, folder, features, dtype="float32", num_workers=0):
        if dtype not in DTYPES:
            raise HparamsError(
                f"no dtype '{dtype}' for cached features; there are: "
                f"{', '.join(DTYPES)}"
            )
        self.features = features
        self.dtype = dtype
        self.num_workers = num_workers
        self.facts = feature_facts(features, dtype)
        key = hashlib.sha256(json.dumps(self.facts).encode()).hexdigest()[:16]
        name = f"{type(features).__name__}-{key}"
        self.folder = Path(folder).absolute() / name

    def fill(self, records, data_folder):
        """Compute and store missing features.

        In distributed training the first process does so. If another run
        fills the same folder, this run waits until the other one is done.
        Stored features are kept if the run is interrupted.

        Arguments
        ---------
        records : dict
            A ``petl_modules.data.prepare.Record`` by id.
        data_folder : str
            See ``petl_modules.data.load_features``.

        Returns
        -------
        CachedClips
            Maps a record's ``wav`` and ``digest`` to its features.

        Raises
        ------
        AudioError
            A clip cannot be read, or has changed since it was prepared.
        PermissionError or DataError
            The folder cannot be written to, or values are too large for
            ``float16``.
        """
        clips = {r["digest"]: r["wav"] for r in records.values()}
        rows = run_on_main(self._fill, [clips, data_folder])
        return CachedClips(self, rows, data_folder)

    def _fill(self, clips, data_folder):
        """Store the missing features of some clips and return all rows."""
        keys = np.fromiter(map(key_of, clips), KEY, len(clips))
        rows = Rows(self.folder)
        if (rows.find(keys) < 0).any():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with alone_in(self.folder):
                    self._complete(keys, clips, data_folder)
            except OSError as error:
                remedy = (
                    "make room there or name another feature_cache. What "
                    "was done before is kept"
                )
                raise refusal(self.folder, error, remedy) from error
            rows = Rows(self.folder)
        return rows

    def _complete(self, keys, clips, data_folder):
        """Compute the missing rows. The folder is locked by this process."""
        for stray in self.folder.glob(".*.tmp"):  # of a killed process
            stray.unlink()
        rows = Rows(self.folder)  # another run may have filled it
        for path in rows.damaged:
            logger.warning(f"{path} is cut or damaged: it is computed again")
            path.unlink(missing_ok=True)
        missing = rows.find(keys) < 0
        if not missing.any():
            return
        write_json(self.folder / "about.json", self.facts)
        wanted = [
            (wav, digest)
            for (digest, wav), absent in zip(clips.items(), missing)
            if absent
        ]
        loader = DataLoader(
            MissingClips(self, data_folder, wanted),
            batch_size=None,
            num_workers=min(self.num_workers, len(wanted)),
            collate_fn=_unchanged,
            generator=torch.Generator(),  # leaves the global one alone
        )
        writer = ShardWriter(self.folder)
        try:
            for item in tqdm(loader, "Caching features", unit="clip"):
                if isinstance(item, UserError):
                    raise item
                writer.add(*item)
        finally:
            writer.finish()

    def compute(self, data_folder, wav, digest):
        """Compute the values to store for a clip.

        Arguments
        ---------
        data_folder : str
            See ``petl_modules.data.load_features``.
        wav : str
            See ``petl_modules.data.load_features``.
        digest : str
            See ``petl_modules.data.load_features``.

        Returns
        -------
        numpy.ndarray
        """
        values = load_features(self.features, data_folder, wav, digest)
        values = values.numpy()
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values, self.dtype)
        if (np.isinf(stored) & np.isfinite(values)).any():
            raise DataError(
                f"{audio_path(data_folder, wav)}: its features go up to "
                f"{np.abs(values).max():.0f}, which float16 cannot hold. "
                "Take feature_cache_dtype float32"
            )
        return stored


def _unchanged(item):
    """Return an item as it is."""
    return item
