"""From the records of a manifest to the datasets of one fold."""

import json
from functools import partial

import numpy as np
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.data.loading import (
    encode_label,
    load_features,
    load_mixed,
)
from petl_modules.data.mixup import Mix


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


def used_part(records, features):
    """Return a line on the clips of which only the beginning is used.

    Arguments
    ---------
    records : dict
        A ``Record`` by id.
    features : callable
        See ``load_features``.

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
    text = (
        f"{count} of {len(records)} clips are longer than {seconds:.4g} s: "
        f"the first {seconds:.4g} s are used"
    )
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

    Example
    -------
    >>> ClipDataset({"a/1": {"label": "cat"}}, [], ["id", "label"])[0]
    {'id': 'a/1', 'label': 'cat'}
    """

    def __init__(self, records, pipeline, output_keys, mix=None):
        super().__init__(records, pipeline, output_keys)
        self.mix = mix
        self.texts, ends = bytearray(), [0]
        for key, record in records.items():
            self.texts += json.dumps({"id": key, **record}).encode()
            ends.append(len(self.texts))
        self.ends = np.array(ends)

    def __getitem__(self, index):
        if isinstance(index, Mix):
            clips = [self.record(index.first), self.record(index.second)]
            return self.mix(clips, index.weight)
        index = range(len(self))[index]  # IndexError ends a for loop
        return self.pipeline.compute_outputs(self.record(index))

    def record(self, index):
        """Return a clip's record, with its id."""
        start, end = self.ends[index : index + 2]
        return json.loads(self.texts[start:end])


def make_datasets(parts, data_folder, features, labels, cache=None):
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

    Returns
    -------
    dict
        A ``DynamicItemDataset`` for each part, with ``id``, ``features`` and
        ``target`` (``[1]``, the class index). Clips of the validation and
        test parts are sorted by duration, the longest first.

    Raises
    ------
    UserError
        The cache cannot be filled.
    ValueError
        The cache belongs to other features.
    """
    load, takes = partial(load_features, features, data_folder), ["wav"]
    mix = partial(load_mixed, features, data_folder, list(labels))
    if cache is not None:
        if cache.features is not features:
            raise ValueError("the feature cache belongs to other features")
        records = {k: r for part in parts.values() for k, r in part.items()}
        load = cache.fill(records, data_folder)
        takes, mix = ["wav", "digest"], None
    # No closures: spawned workers must be able to pickle the pipeline
    pipeline = [
        {"func": load, "takes": takes, "provides": "features"},
        {
            "func": partial(encode_label, list(labels)),
            "takes": "label",
            "provides": "target",
        },
    ]
    datasets = {}
    for part, records in parts.items():
        if part != "train":  # the sampler orders the training part
            records = {clip: records[clip] for clip in longest_first(records)}
        keys = ["id", "features", "target"]
        datasets[part] = ClipDataset(records, pipeline, keys, mix)
    return datasets
