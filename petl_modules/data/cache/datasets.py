"""Clips that are in a feature cache, and clips that are not yet."""

import torch
from torch.utils.data import Dataset

from petl_modules.utils import UserError


class MissingClips(Dataset):
    """Clips to compute, in a loader's workers.

    An item is the clip's key and what is to be stored, or the ``UserError``
    that ends the run.

    Arguments
    ---------
    cache : FeatureCache
        Computes.
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
            values = self.cache.compute(self.data_folder, wav, digest)
            return key_of(digest), values
        except UserError as error:
            return error


class CachedClips:
    """Features of clips, from the cache or else computed.

    Both give the same values.

    Arguments
    ---------
    cache : FeatureCache
        Where they are from.
    rows : petl_modules.data.cache.shards.Rows
        Its rows.
    data_folder : str
        The folder of the data.
    """

    def __init__(self, cache, rows, data_folder):
        self.cache = cache
        self.rows = rows
        self.data_folder = data_folder

    def __call__(self, wav, digest):
        """Return ``[time, ...]``, float32, in memory of its own."""
        values = self.rows.read(key_of(digest))
        if values is None:
            values = self.cache.compute(self.data_folder, wav, digest)
        # Bytes are what the checks are about, so the type is not the file's
        values = values.view(self.cache.dtype)
        values = values.reshape(-1, *self.cache.facts["shape"][1:])
        return torch.from_numpy(values).float()


def key_of(digest):
    """Return a digest's 16 bytes."""
    return bytes.fromhex(digest)
