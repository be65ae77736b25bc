"""From a manifest to the datasets of one fold.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import json
import os
from functools import partial

import numpy as np
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.data.audio import read_audio
from petl_modules.utils import AudioError


def audio_path(data_folder, wav):
    """The file of a record's ``wav``, ``{data_root}/...``."""
    return os.path.join(data_folder, wav.removeprefix("{data_root}/"))


def load_features(features, data_folder, wav):
    """Features of one clip.

    Arguments
    ---------
    features : callable
        From samples ``[time]`` to what the backbone takes, ``[time, ...]``;
        its ``sample_rate`` is what it wants.
    data_folder : str
        The folder of the data.
    wav : str
        The audio file, ``{data_root}/...``.

    Returns
    -------
    torch.Tensor
        ``[time, ...]``.
    """
    path = audio_path(data_folder, wav)
    with one_thread():
        return features(read_audio(path, features.sample_rate))


@contextlib.contextmanager
def one_thread():
    """Computes as a loader's worker does, to the last bit."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def try_features(features, data_folder, wav):
    """As ``load_features``, but None where the file cannot be read."""
    try:
        return load_features(features, data_folder, wav)
    except AudioError:
        return None


class Unreadable:
    """A batch of which no clip can be read.

    Arguments
    ---------
    skipped : list of str
        The ids of its clips.
    """

    def __init__(self, skipped):
        self.id = []
        self.skipped = skipped

    def to(self, *args, **kwargs):
        """As a batch's."""
        return self

    @property
    def features(self):
        """Raises an ``AudioError``: there are none."""
        raise AudioError(
            f"no clip of a batch can be read: {', '.join(self.skipped)}. "
            "Fetch the dataset again"
        )


def collate(clips):
    """A padded batch of those clips that could be read.

    Arguments
    ---------
    clips : list of dict
        Each with ``id``, ``features`` and ``target``.

    Returns
    -------
    speechbrain.dataio.batch.PaddedBatch or Unreadable
        Its ``skipped`` lists the ids of the others.
    """
    readable = [clip for clip in clips if clip["features"] is not None]
    skipped = [clip["id"] for clip in clips if clip["features"] is None]
    if not readable:
        return Unreadable(skipped)
    batch = PaddedBatch(readable)
    batch.skipped = skipped
    return batch


def encode_label(labels, label):
    """A label's place among the labels, ``[1]``."""
    return torch.tensor([labels.index(label)])


def longest_first(records):
    """Ids of clips, those of one duration beside each other.

    A batch of neighbours has few lengths, and little padding.

    Arguments
    ---------
    records : dict
        Records by id, with ``duration``.

    Returns
    -------
    list of str

    Example
    -------
    >>> longest_first({"a": {"duration": 0.5}, "b": {"duration": 1.0}})
    ['b', 'a']
    """
    durations = {clip: record["duration"] for clip, record in records.items()}
    return sorted(durations, key=durations.get, reverse=True)


class ClipDataset(DynamicItemDataset):
    """A dataset whose records lie in one piece of memory.

    A loader's worker gets a copy of each page with a Python object that it
    looks at, and would end up with one of all records.

    Arguments
    ---------
    records : dict
        Plain data by id.
    pipeline : list of dict
        See SpeechBrain's ``DynamicItemDataset``.
    output_keys : list of str
        See there.

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
        index = range(len(self))[index]  # IndexError ends a plain loop
        start, end = self.ends[index : index + 2]
        return self.pipeline.compute_outputs(json.loads(self.texts[start:end]))


def make_datasets(
    parts, data_folder, features, labels, skip_bad_audio=False, cache=None
):
    """SpeechBrain datasets of features and targets.

    Features are computed when a clip is fetched, in the loader's workers, or
    read from a cache, which is filled first.

    Arguments
    ---------
    parts : dict
        Records by id, by part (see ``petl_modules.runs.plan.Fold``).
    data_folder : str
        See ``load_features``.
    features : callable
        See ``load_features``.
    labels : list of str
        Class names in the order of the logits.
    skip_bad_audio : bool
        Whether a clip that cannot be read is left out (see ``collate``)
        instead of ending the run.
    cache : petl_modules.data.cache.FeatureCache or None
        A cache of these features.

    Returns
    -------
    dict
        A ``DynamicItemDataset`` a part, with ``id``, ``features`` and
        ``target`` (``[1]``, the class index). Parts that do not train come
        longest first.

    Raises
    ------
    ValueError
        If the cache is one of other features, or cannot be filled.
    """
    load = try_features if skip_bad_audio else load_features
    load = partial(load, features, data_folder)
    if cache is not None:
        if cache.features is not features:
            raise ValueError("the feature cache is one of other features")
        records = {k: r for part in parts.values() for k, r in part.items()}
        load = cache.fill(records, data_folder, skip_bad_audio)
    # No closures: workers that are started afresh must be able to pickle it
    pipeline = [
        {
            "func": load,
            "takes": "wav",
            "provides": "features",
        },
        {
            "func": partial(encode_label, list(labels)),
            "takes": "label",
            "provides": "target",
        },
    ]
    datasets = {}
    for part, records in parts.items():
        if part != "train":  # which has a new order in each epoch
            records = {clip: records[clip] for clip in longest_first(records)}
        keys = ["id", "features", "target"]
        datasets[part] = ClipDataset(records, pipeline, keys)
    return datasets
