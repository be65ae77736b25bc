"""From the records of a manifest to the datasets of one fold."""

import contextlib
import json
import os
from functools import partial

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.data.audio import read_audio
from petl_modules.utils import DataError


def audio_path(data_folder, wav):
    """Return the file of a record's ``wav``, ``{data_root}/...``."""
    return os.path.join(data_folder, wav.removeprefix("{data_root}/"))


def load_features(features, data_folder, wav, digest=None):
    """Compute the features of one clip.

    Arguments
    ---------
    features : callable
        Maps samples ``[time]`` to the backbone's input, ``[time, ...]``. Its
        ``sample_rate`` is the rate of the samples. If it has ``longest``, only
        so many samples are read.
    data_folder : str
        The folder of the data.
    wav : str
        The audio file, ``{data_root}/...``.
    digest : str or None
        See ``petl_modules.data.read_audio``.

    Returns
    -------
    torch.Tensor
        ``[time, ...]``.
    """
    path = audio_path(data_folder, wav)
    longest = getattr(features, "longest", None)
    with one_thread():
        samples = read_audio(path, features.sample_rate, digest, longest)
        return features(samples)


@contextlib.contextmanager
def one_thread():
    """Run on one CPU thread, as DataLoader workers do.

    Features are then bit-identical in the main process and in workers.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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

    Example
    -------
    >>> ClipDataset({"a/1": {"label": "cat"}}, [], ["id", "label"])[0]
    {'id': 'a/1', 'label': 'cat'}
    """

    def __init__(self, records, pipeline, output_keys):
        super().__init__(records, pipeline, output_keys)
        self.texts, ends = bytearray(), [0]
        for key, record in records.items():
            self.texts += json.dumps({"id": key, **record}).encode()
            ends.append(len(self.texts))
        self.ends = np.array(ends)

    def __getitem__(self, index):
        index = range(len(self))[index]  # IndexError ends a for loop
        start, end = self.ends[index : index + 2]
        return self.pipeline.compute_outputs(json.loads(self.texts[start:end]))


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
    if cache is not None:
        if cache.features is not features:
            raise ValueError("the feature cache belongs to other features")
        records = {k: r for part in parts.values() for k, r in part.items()}
        load = cache.fill(records, data_folder)
        takes = ["wav", "digest"]
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
        datasets[part] = ClipDataset(records, pipeline, keys)
    return datasets
