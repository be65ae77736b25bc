"""Features computed once for all folds, methods and runs.

A clip's features are found by the SHA-256 of its file, in a folder that is
named by all else that they depend on.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger
from torch.utils.data import DataLoader
from tqdm import tqdm

from petl_modules.data import audio_path, load_features
from petl_modules.data.cache.datasets import CachedClips, MissingClips
from petl_modules.data.cache.file_index import (
    KEY,
    SHA256,
    KnownFiles,
    file_state,
    key_of,
)
from petl_modules.data.cache.fingerprint import feature_facts
from petl_modules.data.cache.shards import Rows, ShardWriter
from petl_modules.utils import alone_in, refusal, write_json

logger = get_logger(__name__)


DTYPES = ("float32", "float16")


class FeatureCache:
    """Features of audio files, kept on the disk.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where caches go. Each set of parameters gets a folder of its own
        there, whose ``about.json`` tells it.
    features : callable
        See ``petl_modules.data.load_features``. Its attributes are plain
        data.
    dtype : str
        ``float32``: values come back bit for bit. ``float16``: half the
        space, values rounded to 11 binary digits.
    num_workers : int
        Processes that compute what is missing; 0: this one.

    Attributes
    ----------
    folder : pathlib.Path
        That of these parameters.

    Raises
    ------
    ValueError
        If there is no such dtype; see ``feature_facts``.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from petl_modules.data import FilterBank
    >>> data = Path(tempfile.mkdtemp())
    >>> soundfile.write(data / "a.wav", np.zeros(16_000), 16_000)
    >>> cache = FeatureCache(data / "cache", FilterBank(frames=100))
    >>> load = cache.fill({"a": {"wav": "{data_root}/a.wav"}}, data)
    >>> load("{data_root}/a.wav").shape
    torch.Size([100, 128])
    """

    def __init__(self, folder, features, dtype="float32", num_workers=0):
        if dtype not in DTYPES:
            raise ValueError(
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
        self.files = KnownFiles(self.folder / "files.bin")

    def fill(self, records, data_folder, skip_bad_audio=False):
        """Computes what is missing.

        Of several processes that train together, the first does so. Another
        run that fills the same folder is waited for. What is done is kept,
        however this ends.

        Arguments
        ---------
        records : dict
            Records by id.
        data_folder : str
            See ``petl_modules.data.load_features``.
        skip_bad_audio : bool
            Whether a clip that cannot be read has None for features instead
            of ending the run.

        Returns
        -------
        CachedClips
            From a record's ``wav`` to its features.

        Raises
        ------
        AudioError
            If a clip cannot be read.
        ValueError
            If the folder cannot be written to, a file changes while it is
            read, or values are too large for ``float16``.
        """
        wavs = list(dict.fromkeys(r["wav"] for r in records.values()))
        keys, reader = run_on_main(
            self._fill, [wavs, data_folder, skip_bad_audio]
        )
        return CachedClips(self, keys, reader, data_folder, skip_bad_audio)

    def _fill(self, wavs, data_folder, skip_bad_audio):
        """Sorted keys of the clips that are cached then, and their rows."""
        root = os.path.abspath(data_folder)
        states = (file_state(audio_path(root, wav)) for wav in wavs)
        states = np.fromiter(states, KEY, len(wavs))
        rows, sha256s = Rows(self.folder), self.files.sha256s(states)
        if (rows.find(sha256s) < 0).any():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with alone_in(self.folder):
                    sha256s = self._complete(
                        wavs, states, data_folder, skip_bad_audio
                    )
            except OSError as error:
                remedy = (
                    "make room there or name another feature_cache. What "
                    "was done before is kept"
                )
                raise refusal(self.folder, error, remedy) from error
            rows = Rows(self.folder)
        numbers = rows.find(sha256s)
        keys = np.fromiter(map(key_of, wavs), KEY, len(wavs))
        order = np.argsort(keys)
        order = order[numbers[order] >= 0]
        return keys[order], rows.reader(numbers[order])

    def _complete(self, wavs, states, data_folder, skip_bad_audio):
        """Adds what is missing; the SHA-256 of each file, empty if bad."""
        for stray in self.folder.glob(".*.tmp"):  # of a killed process
            stray.unlink()
        rows = Rows(self.folder)
        for path in rows.damaged:
            logger.warning(f"{path} is cut or damaged: it is made again")
            path.unlink(missing_ok=True)
        sha256s = self.files.sha256s(states)  # another run may have filled it
        missing = np.flatnonzero(rows.find(sha256s) < 0)
        if len(missing):
            write_json(self.folder / "about.json", self.facts)
            wavs = [wavs[i] for i in missing]
            known = rows.index["sha256"].copy()  # in one piece: fast to search
            clips = MissingClips(self, data_folder, wavs, known, skip_bad_audio)
            sha256s[missing] = self._compute_all(clips)
            self.files.add(states[missing], sha256s[missing])
        return sha256s

    def _compute_all(self, clips):
        """Writes the rows of clips; the SHA-256 of each file."""
        loader = DataLoader(
            clips,
            batch_size=None,
            num_workers=min(self.num_workers, len(clips)),
            collate_fn=_unchanged,
            generator=torch.Generator(),  # leaves the global one alone
        )
        writer, sha256s = ShardWriter(self.folder), np.zeros(len(clips), SHA256)
        try:
            bar = tqdm(loader, "Caching features", unit="clip")
            for i, found in enumerate(bar):
                if isinstance(found, ValueError):
                    raise found
                sha256s[i], values = found
                if values is not None:
                    writer.add(found[0], values)
        finally:
            writer.finish()
        return sha256s

    def compute(self, data_folder, wav):
        """What is stored of a clip.

        Arguments
        ---------
        data_folder : str
            See ``petl_modules.data.load_features``.
        wav : str
            See there.

        Returns
        -------
        numpy.ndarray
        """
        values = load_features(self.features, data_folder, wav).numpy()
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values, self.dtype)
        if (np.isinf(stored) & np.isfinite(values)).any():
            raise ValueError(
                f"{audio_path(data_folder, wav)}: its features go up to "
                f"{np.abs(values).max():.0f}, which float16 cannot hold. "
                "Take feature_cache_dtype float32"
            )
        return stored


def _unchanged(item):
    """Leaves an item as it is."""
    return item
