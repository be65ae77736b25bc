"""Datasets of a feature cache: cached clips, and clips still to compute."""

import torch
from speechbrain.utils.logger import get_logger
from torch.utils.data import Dataset

from petl_modules.data.cache.store import key_of
from petl_modules.utils import DataError, UserError

logger = get_logger(__name__)


class MissingClips(Dataset):
    """Clips whose features are computed in a loader's workers.

    An item is the clip's digest and the values to store, or the ``UserError``
    that ends the run.

    Arguments
    ---------
    cache : FeatureCache
        The cache that computes the features.
    data_folder : str
        The folder of the data.
    clips : list of tuple
        ``wav`` and ``digest`` of each.
    """

    def __init__(self, cache, data_folder, clips):
        self.cache = cache
        self.data_folder = data_folder
        self.clips = clips

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, i):
        wav, digest = self.clips[i]
        try:
            return digest, self.cache.compute(self.data_folder, wav, digest)
        except UserError as error:
            return error


class CachedClips:
    """Features of clips, read from the cache or, if missing there, computed.

    The values are the same either way.

    Arguments
    ---------
    cache : FeatureCache
        The cache.
    rows : petl_modules.data.cache.shards.Rows
        Rows of the cache.
    data_folder : str
        The folder of the data.
    """

    def __init__(self, cache, rows, data_folder):
        self.cache = cache
        self.rows = rows
        self.data_folder = data_folder

    def __call__(self, wav, digest):
        """Return the features ``[time, ...]`` in float32, as a copy."""
        try:
            values = self.rows.read(key_of(digest))
        except DataError as error:
            logger.warning_once(
                f"{error}. Its clips are computed instead, and cached anew by "
                "the next run"
            )
            values = None
        if values is None:
            values = self.cache.compute(self.data_folder, wav, digest)
        # Shards check bytes only; the dtype is known to the cache alone
        values = values.view(self.cache.dtype)
        values = values.reshape(-1, *self.cache.facts["shape"][1:])
        return torch.from_numpy(values).float()
