"""Clips that are in a feature cache, and those that are not yet.

Authors
 * The PETL audio recipes team 2026
"""

import numpy as np
import torch
from torch.utils.data import Dataset

from petl_modules.data import audio_path
from petl_modules.data.cache.file_index import file_sha256, key_of
from petl_modules.data.cache.shards import find
from petl_modules.utils import AudioError


class MissingClips(Dataset):
    """Clips that may have to be computed, in a loader's workers.

    An item is the SHA-256 of a file and what is to be stored, if it is not
    known; or the ``ValueError`` that ends the run.

    Arguments
    ---------
    cache : FeatureCache
        Computes.
    data_folder : str
        The folder of the data.
    wavs : list of str
        The clips.
    known : numpy.ndarray
        SHA-256 of what is stored already, sorted.
    skip_bad_audio : bool
        Whether a clip that cannot be read has an empty SHA-256.
    """

    def __init__(self, cache, data_folder, wavs, known, skip_bad_audio):
        self.cache = cache
        self.data_folder = data_folder
        self.wavs = wavs
        self.known = known
        self.skip_bad_audio = skip_bad_audio

    def __len__(self):
        return len(self.wavs)

    def __getitem__(self, i):
        try:
            return self._look_at(self.wavs[i])
        except AudioError as error:
            return (b"", None) if self.skip_bad_audio else error
        except ValueError as error:
            return error

    def _look_at(self, wav):
        path = audio_path(self.data_folder, wav)
        try:
            sha256 = file_sha256(path)
            if find(self.known, np.array([sha256]))[0] >= 0:
                return sha256, None
            values = self.cache.compute(self.data_folder, wav)
            unchanged = file_sha256(path) == sha256
        except OSError as error:
            raise AudioError(f"{path}: {error.strerror or error}") from error
        if not unchanged:
            raise ValueError(
                f"{path} changed while it was read. Wait until nothing writes "
                "to the data, then run the same command again"
            )
        return sha256, values


class CachedClips:
    """Features of clips by their ``wav``, from the cache or else computed.

    Both give the same values. Pickles without what it has open.

    Arguments
    ---------
    cache : FeatureCache
        Where they are from.
    keys : numpy.ndarray
        ``key_of`` of each ``wav`` that is cached, sorted.
    reader : petl_modules.data.cache.shards.RowReader
        Their rows.
    data_folder : str
        The folder of the data.
    skip_bad_audio : bool
        Whether a clip that cannot be read has None for features.
    """

    def __init__(self, cache, keys, reader, data_folder, skip_bad_audio):
        self.cache = cache
        self.keys = keys
        self.reader = reader
        self.data_folder = data_folder
        self.skip_bad_audio = skip_bad_audio

    def __call__(self, wav):
        """Returns ``[time, ...]``, float32, in memory of its own."""
        number = find(self.keys, np.array([key_of(wav)]))[0]
        content = self.reader.read(number) if number >= 0 else None
        if content is not None:
            values = np.frombuffer(content, self.cache.dtype).copy()
            values = values.reshape(-1, *self.cache.facts["shape"][1:])
            return torch.from_numpy(values).float()
        try:
            values = self.cache.compute(self.data_folder, wav)
        except AudioError:
            if self.skip_bad_audio:
                return None
            raise
        return torch.from_numpy(values).float()
