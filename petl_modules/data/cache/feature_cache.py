"""Compute features once for all folds, methods and runs.

The key of a clip's features is the digest of its samples. The folder's name is
a hash of everything else that the features depend on.
"""

from functools import partial

import torch
from speechbrain.utils.distributed import run_on_main
from torch.utils.data import DataLoader
from tqdm import tqdm

from petl_modules.data import audio_path, load_features
from petl_modules.data.cache.datasets import CachedClips, MissingClips
from petl_modules.data.cache.fingerprint import feature_facts
from petl_modules.data.cache.store import Store
from petl_modules.utils import UserError


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

    Raises
    ------
    HparamsError
        There is no such dtype; see ``feature_facts``.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> from petl_modules.data import FilterBank, check_audio
    >>> data = Path(tempfile.mkdtemp())
    >>> soundfile.write(data / "a.wav", numpy.zeros(16_000), 16_000)
    >>> (facts,) = check_audio([data / "a.wav"])
    >>> record = {"wav": "{data_root}/a.wav", **facts._asdict()}
    >>> cache = FeatureCache(data / "cache", FilterBank(frames=100))
    >>> load = cache.fill({"a": record}, data)
    >>> load("{data_root}/a.wav", record["digest"]).shape
    torch.Size([100, 128])
    """

    def __init__(self, folder, features, dtype="float32", num_workers=0):
        self.features = features
        self.dtype = dtype
        self.num_workers = num_workers
        self.facts = feature_facts(features, dtype)
        name = type(features).__name__
        self.store = Store(folder, name, self.facts, dtype, "feature_cache")

    @property
    def folder(self):
        """The subfolder of these parameters."""
        return self.store.folder

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
        compute = partial(self._compute_all, clips, data_folder)
        return self.store.fill([*clips], compute)

    def _compute_all(self, clips, data_folder, digests):
        """Yield digests and the values to store."""
        wanted = [(clips[digest], digest) for digest in digests]
        loader = DataLoader(
            MissingClips(self, data_folder, wanted),
            batch_size=None,
            num_workers=min(self.num_workers, len(wanted)),
            collate_fn=_unchanged,
            generator=torch.Generator(),  # leaves the global one alone
        )
        for item in tqdm(loader, "Caching features", unit="clip"):
            if isinstance(item, UserError):
                raise item
            yield item

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
        path = audio_path(data_folder, wav)
        return self.store.rounded(values.numpy(), f"{path}: its features")


def _unchanged(item):
    """Return an item as it is."""
    return item
