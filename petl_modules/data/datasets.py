"""From the records of a manifest to the datasets of one fold."""

import json
from functools import partial

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.data.loading import (
    load_drawn,
    load_features,
    load_spaced,
)
from petl_modules.data.windows import Windows
from petl_modules.utils import DataError


def encode_label(labels, label):
    """Return the class index of a label, ``[1]``."""
    if label not in labels:
        raise DataError(
            f"a clip has the label '{label}', which is none of the "
            f"{len(labels)} classes. Prepare the dataset again"
        )
    return torch.tensor([labels.index(label)])


def longest_first(records):
    """Sort clips by duration, the longest first, to save padding.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.

    Returns
    -------
    list of str
        Their ids.

    Example
    -------
    >>> longest_first({"a": {"duration": 0.5}, "b": {"duration": 1.0}})
    ['b', 'a']
    """
    durations = {clip: record["duration"] for clip, record in records.items()}
    return sorted(durations, key=durations.get, reverse=True)


def used_part(records, features, windows=None):
    """Return a line on the clips of which only a part is used.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.
    features : callable
        See ``load_features``.
    windows : petl_modules.data.Windows or None
        Which part. None: the beginning.

    Returns
    -------
    str
        Empty if all clips are used completely.

    Example
    -------
    >>> from petl_modules.data import Waveform
    >>> used_part({"a": {"duration": 9.0}}, Waveform(seconds=5.0))
    '1 of 1 clips are longer than 5 s: the first 5 s are used'
    """
    if not (longest := getattr(features, "longest", None)):
        return ""
    seconds = longest / features.sample_rate
    durations = [record.get("duration", 0) for record in records.values()]
    count = sum(duration > seconds for duration in durations)
    window = f"{seconds:.4g} s"
    used = f"the first {window} are used"
    if windows is not None:
        used = windows.describe(window)
    text = f"{count} of {len(records)} clips are longer than {window}: {used}"
    return text if count else ""


class ClipDataset(DynamicItemDataset):
    """A dataset that stores its records as JSON in one byte string.

    Reading a Python object writes its reference count. If each record were an
    object, every forked loader worker would copy the memory of all records.

    Arguments
    ---------
    records : dict
        Plain data by id.
    pipeline : list of dict
        See SpeechBrain's ``DynamicItemDataset``.
    output_keys : list of str
        See SpeechBrain's ``DynamicItemDataset``.

    Attributes
    ----------
    epoch_of : petl_modules.data.EpochBatches or None
        The sampler whose epoch is the item ``epoch``, for pipelines that take
        it. A loader's workers get a copy of it when they start, in each epoch.

    Example
    -------
    >>> ClipDataset({"a/1": {"label": "cat"}}, [], ["id", "label"])[0]
    {'id': 'a/1', 'label': 'cat'}
    """

    epoch_of = None

    def __init__(self, records, pipeline, output_keys):
        super().__init__(records)
        self.takes_epoch = any("epoch" in item["takes"] for item in pipeline)
        if self.takes_epoch:
            self.pipeline.add_static_keys(["epoch"])
        self.pipeline.add_dynamic_items(pipeline)
        self.set_output_keys(output_keys)
        self.texts, ends = bytearray(), [0]
        for key, record in records.items():
            self.texts += json.dumps({"id": key, **record}).encode()
            ends.append(len(self.texts))
        self.ends = np.array(ends)

    def __getitem__(self, index):
        index = range(len(self))[index]  # IndexError ends a for loop
        start, end = self.ends[index : index + 2]
        record = json.loads(self.texts[start:end])
        if self.takes_epoch:
            record["epoch"] = self.epoch_of.epoch
        return self.pipeline.compute_outputs(record)


def make_datasets(
    parts, data_folder, features, labels, cache=None, windows=None
):
    """Make SpeechBrain datasets of features and targets.

    Features are computed in the loader's workers when a clip is fetched. With
    a cache, the cache is filled first and features are read from it.

    Arguments
    ---------
    parts : dict
        A ``Record`` by id, by part (see ``petl_modules.runs.plan.Fold``).
    data_folder : str
        See ``load_features``.
    features : callable
        See ``load_features``.
    labels : list of str
        Class names in the order of the logits.
    cache : petl_modules.data.cache.FeatureCache or None
        A cache of the same features.
    windows : petl_modules.data.Windows or None
        Which parts of a clip are used. None: its beginning.

    Returns
    -------
    dict
        A ``ClipDataset`` for each part, with ``id``, ``features`` and
        ``target`` (``[1]``, the class index). Clips of the validation and
        test parts are sorted by duration, the longest first.

    Raises
    ------
    UserError
        The cache cannot be filled, or does not go with the windows.
    ValueError
        The cache belongs to other features.
    """
    loaders = _loaders(parts, data_folder, features, cache, windows)
    # No closures: spawned workers must be able to pickle the pipeline
    label = {
        "func": partial(encode_label, list(labels)),
        "takes": "label",
        "provides": "target",
    }
    datasets = {}
    for part, records in parts.items():
        if part != "train":  # the sampler orders the training part
            records = {clip: records[clip] for clip in longest_first(records)}
        load, takes = loaders[part]
        load = {"func": load, "takes": takes, "provides": "features"}
        keys = ["id", "features", "target"]
        datasets[part] = ClipDataset(records, [load, label], keys)
    return datasets


def _loaders(parts, data_folder, features, cache, windows):
    """Return by part how features are made, and of what items."""
    windows = windows or Windows()
    windows.require(features, cached=cache is not None)
    if windows.moving:
        facts = windows, features, data_folder
        spaced = partial(load_spaced, *facts), ["wav", "duration"]
        drawn = partial(load_drawn, *facts), ["wav", "duration", "id", "epoch"]
        if windows.train == "first":  # workers may stay
            load = partial(load_drawn, *facts, clip="", epoch=1)
            drawn = load, ["wav", "duration"]
        return {part: drawn if part == "train" else spaced for part in parts}
    if cache is None:
        load = partial(load_features, features, data_folder), ["wav"]
        return dict.fromkeys(parts, load)
    if cache.features is not features:
        raise ValueError("the feature cache belongs to other features")
    records = {k: r for part in parts.values() for k, r in part.items()}
    load = cache.fill(records, data_folder), ["wav", "digest"]
    return dict.fromkeys(parts, load)
