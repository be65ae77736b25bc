"""A store of the hidden states that enter the lowest trained layer."""

import hashlib
import math
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from petl_modules import backbones
from petl_modules.data.cache import Store, feature_facts, key_of
from petl_modules.models import quantization, tuned_encoder, upper_layers
from petl_modules.training.frozen_parts import autocast
from petl_modules.utils import DataError, UserError


class HiddenStates:
    """The hidden states that enter the lowest trained layer, on the disk.

    With them are those below that a sum of layers or a ladder reads. A clip's
    are computed in a batch of clips of its length: nothing is padded.

    Arguments
    ---------
    upper : petl_modules.models.UpperLayers
        A model, in eval mode and on the device.
    datasets : iterable of petl_modules.data.ClipDataset
        The clips.
    precision : str
        That of the forward pass, such as ``bf16``.
    device : str
        Where it computes.
    hparams : dict
        The recipe's hyperparameters: features, and how they are loaded.
    folder, dtype : str
        See ``petl_modules.data.cache.Store``.

    Attributes
    ----------
    store : petl_modules.data.cache.Store
        The store of these states.
    """

    def __init__(
        self, upper, datasets, precision, device, hparams, folder, dtype
    ):
        self.upper = upper
        self.device, self.precision = device, precision
        self.loading = hparams["test_loader"]
        features = hparams["features"]
        longest = getattr(features, "longest", None) or math.inf
        places = {}
        for dataset in datasets:
            for index, record in enumerate(dataset.data.values()):
                used = min(record["duration"], longest / features.sample_rate)
                places.setdefault(record["digest"], (used, dataset, index))
        longest_first = sorted(places, key=lambda d: (-places[d][0], d))
        self.places = {digest: places[digest] for digest in longest_first}
        # Of the shortest clip and the longest; their form is that of all
        ends = of_one_shape(_Clips(self._ends()), 1)
        self.examples = [self._encode(batch)[0] for batch in ends]
        cached = hparams.get("feature_cache") and hparams["feature_cache_dtype"]
        facts = {
            "features": feature_facts(features, cached or "float32"),
            "encoder": upper.model.encoder.backbone.settings,
            "backbone_dtype": upper.model.encoder.backbone_dtype,
            "layers": upper.layers,
            "precision": precision,
            "device": device_name(device),
            "computed": str(self.examples[0].dtype),
            "width": self.examples[0].shape[1],
            "dtype": dtype,
            "sources": sources(),
            "transformers": version("transformers"),
        }
        name = f"layer{upper.start}"
        self.store = Store(folder, name, facts, dtype, "hidden_cache")

    def _ends(self):
        clips = [*self.places.values()]
        return clips[-1], clips[0]

    def count_missing(self):
        """Return how many clips are missing, and about how many bytes."""
        missing = self.store.missing([*self.places])
        seconds = [self.places[digest][0] for digest in missing]
        ends = [clip[0] for clip in self._ends()]
        values = np.interp(seconds, ends, [x.numel() for x in self.examples])
        return len(missing), values.sum() * np.dtype(self.store.dtype).itemsize

    def fill(self):
        """Store what is missing; return all rows."""
        return self.store.fill([*self.places], self._compute)

    def _compute(self, digests):
        """Yield digests and the values to store."""
        wanted = {*digests}
        clips = _Clips([p for d, p in self.places.items() if d in wanted])
        loader = DataLoader(
            clips,
            batch_size=None,
            num_workers=min(self.loading.get("num_workers", 0), len(clips)),
            generator=torch.Generator(),  # leaves the global one alone
        )
        bar = tqdm(loader, "Running frozen layers", unit="clip")
        for batch in of_one_shape(bar, self.loading.get("batch_size", 1)):
            states = self._encode(batch).float().cpu().numpy()
            for (digest, name, _), values in zip(batch, states):
                what = f"{name}: its hidden states"
                yield digest, self.store.rounded(values, what)

    def _encode(self, batch):
        """Return the states of clips of one shape, ``[batch, time, width]``."""
        features = torch.stack([features for _, _, features in batch])
        lengths = torch.ones(len(batch), device=self.device)
        with autocast(self.device, self.precision):
            return self.upper.enter(features.to(self.device), lengths)

    def reader(self, rows):
        """Return what reads the states of a clip."""
        return StoredStates(rows, self.store, self.examples[0])


class StoredStates:
    """Read a clip's hidden states.

    Arguments
    ---------
    rows : petl_modules.data.cache.shards.Rows
        The rows of the store.
    store : petl_modules.data.cache.Store
        The store.
    example : torch.Tensor
        States of a clip, ``[time, width]``, in the dtype to return.
    """

    def __init__(self, rows, store, example):
        self.rows, self.store = rows, store
        self.width, self.dtype = example.shape[1], example.dtype

    def __call__(self, digest):
        """Return them, ``[time, width]``."""
        again = "The same command computes its hidden states anew, and resumes"
        try:
            row = self.rows.read(key_of(digest))
        except DataError as error:
            raise DataError(f"{error}. {again}") from error
        if row is None:  # since the run began
            raise DataError(f"a file of {self.store.folder} is gone. {again}")
        states = row.view(self.store.dtype).reshape(-1, self.width)
        return torch.from_numpy(states).to(self.dtype)


class _Clips(Dataset):
    """Digest, id and features of clips, or the ``UserError`` in place of them."""

    def __init__(self, places):
        self.places = places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        _, dataset, place = self.places[index]
        try:
            clip = dataset[place]
        except UserError as error:
            return error
        return dataset.record(place)["digest"], clip["id"], clip["features"]


def of_one_shape(clips, size):
    """Yield lists of successive clips whose features have the same shape.

    Arguments
    ---------
    clips : iterable
        Digest, id and features, or the ``UserError`` to raise.
    size : int
        The largest number of clips in a list.
    """
    batch = []
    for clip in clips:
        if isinstance(clip, UserError):
            raise clip
        other = batch and clip[2].shape != batch[0][2].shape
        if other or len(batch) == size:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def device_name(device):
    """Return the name of a device; of a CPU, ``cpu``."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.device(device).type


@cache
def sources():
    """Return the digest of the source of what the states come from."""
    files = sorted(Path(backbones.__file__).parent.glob("*.py"))
    modules = quantization, tuned_encoder, upper_layers
    files += [Path(module.__file__) for module in modules]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
