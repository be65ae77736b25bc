"""From the records of a manifest to the datasets of one fold."""

import json
from functools import partial

import numpy as np
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.data.duration_batches import durations_of
from petl_modules.data.loading import (
    load_drawn,
    load_features,
    load_spaced,
    read_drawn,
    read_used,
)
from petl_modules.data.mixup import Mix, encode_label, load_mixed
from petl_modules.data.windows import Windows


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
    mix : callable or None
        Makes an item of two records and the share of the first, where the
        index is a ``petl_modules.data.Mix``. None: clips cannot be mixed.

    Attributes
    ----------
    durations : list of float
        Length of each clip in seconds; not a number where it is not known.
    epoch_of : petl_modules.data.EpochBatches or None
        The sampler whose epoch is the item ``epoch``, for pipelines that take
        it. A loader's workers get a copy of it when they start, in each epoch.

    Example
    -------
    >>> ClipDataset({"a/1": {"label": "cat"}}, [], ["id", "label"])[0]
    {'id': 'a/1', 'label': 'cat'}
    """

    epoch_of = None

    def __init__(self, records, pipeline, output_keys, mix=None):
        super().__init__(records)
        self.mix = mix
        self.items = pipeline
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
        self.durations = durations_of(records)

    def __getitem__(self, index):
        if isinstance(index, Mix):
            clips = [self.record(index.first), self.record(index.second)]
            return self.mix(clips, index.weight)
        index = range(len(self))[index]  # IndexError ends a for loop
        return self.pipeline.compute_outputs(self.record(index))

    def with_features(self, func, takes):
        """Return this dataset with features from elsewhere.

        Arguments
        ---------
        func : callable
            Returns a clip's features.
        takes : list of str
            What it takes, see SpeechBrain's ``DynamicItemDataset``.

        Returns
        -------
        ClipDataset
            Its clips cannot be mixed.
        """
        others = [x for x in self.items if x["provides"] != "features"]
        item = {"func": func, "takes": takes, "provides": "features"}
        keys = [*self.pipeline.output_mapping]
        return ClipDataset(self.data, [item, *others], keys)

    def record(self, index):
        """Return a clip's record, with its id."""
        start, end = self.ends[index : index + 2]
        record = json.loads(self.texts[start:end])
        if self.takes_epoch:
            record["epoch"] = self.epoch_of.epoch
        return record


def make_datasets(
    parts,
    data_folder,
    features,
    labels=None,
    cache=None,
    windows=None,
    target="label",
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
    labels : list of str or None
        Class names in the order of the logits. None: there are no targets.
    cache : petl_modules.data.cache.FeatureCache or None
        A cache of the same features.
    windows : petl_modules.data.Windows or None
        Which parts of a clip are used. None: its beginning.
    target : str
        The records' key with the class.

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
    windows = windows or Windows()
    windows.require(features, parts, cached=cache is not None)
    load = partial(load_features, features, data_folder), ["wav"]
    if cache is not None:
        if cache.features is not features:
            raise ValueError("the feature cache belongs to other features")
        records = {k: r for part in parts.values() for k, r in part.items()}
        load = cache.fill(records, data_folder), ["wav", "digest"]
    loaders = _loaders(parts, data_folder, features, windows, load)
    # No closures: spawned workers must be able to pickle the pipeline
    label = {
        "func": partial(encode_label, list(labels or [])),
        "takes": target,
        "provides": "target",
    }
    targets = [label] if labels else []
    keys = ["id", "features"] + ["target"] * len(targets)
    mix = None
    if targets and cache is None:
        read = _reader(data_folder, features, windows)
        mix = partial(load_mixed, read, features, list(labels), target)
    datasets = {}
    for part, records in parts.items():
        if part != "train":  # the sampler orders the training part
            records = {clip: records[clip] for clip in longest_first(records)}
        load, takes = loaders[part]
        load = {"func": load, "takes": takes, "provides": "features"}
        datasets[part] = ClipDataset(records, [load, *targets], keys, mix)
    return datasets


def _loaders(parts, data_folder, features, windows, load):
    """Return by part how features are made, and of what items.

    ``load`` makes them of the beginning of a clip, or takes them from a cache.
    """
    if not windows.moving:
        return dict.fromkeys(parts, load)
    facts = windows, features, data_folder
    spaced = partial(load_spaced, *facts), ["wav", "duration"]
    drawn = partial(load_drawn, *facts), _drawn_from(windows)
    tested = load if windows.test == "whole" else spaced
    return {part: drawn if part == "train" else tested for part in parts}


def _reader(data_folder, features, windows):
    """Return how samples are read in training, and of what items."""
    if windows.moving:
        read = partial(read_drawn, windows, features, data_folder)
        return read, _drawn_from(windows)
    return partial(read_used, features, data_folder), ["wav"]


def _drawn_from(windows):
    """Return the items that a training window depends on."""
    if windows.train == "first":  # workers may stay: no epoch
        return ["wav", "duration"]
    return ["wav", "duration", "id", "epoch"]
