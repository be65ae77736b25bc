"""From a manifest to the datasets of one fold.

Authors
 * The PETL audio recipes team 2026
"""

from functools import partial
from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.audio import read_audio


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
    path = Path(data_folder, wav.removeprefix("{data_root}/"))
    return features(read_audio(path, features.sample_rate))


def encode_label(labels, label):
    """A label's place among the labels, ``[1]``."""
    return torch.tensor([labels.index(label)])


def make_datasets(parts, data_folder, features, labels):
    """SpeechBrain datasets of features and targets.

    Features are computed when a clip is fetched, in the loader's workers.

    Arguments
    ---------
    parts : dict
        Records by id, by part (see ``petl_modules.splits.Fold``).
    data_folder : str
        See ``load_features``.
    features : callable
        See ``load_features``.
    labels : list of str
        Class names in the order of the logits.

    Returns
    -------
    dict
        A ``DynamicItemDataset`` a part, with ``id``, ``features`` and
        ``target`` (``[1]``, the class index).
    """
    # No closures: workers that are started afresh must be able to pickle it
    pipeline = [
        {
            "func": partial(load_features, features, data_folder),
            "takes": "wav",
            "provides": "features",
        },
        {
            "func": partial(encode_label, list(labels)),
            "takes": "label",
            "provides": "target",
        },
    ]
    return {
        part: DynamicItemDataset(
            records, pipeline, output_keys=["id", "features", "target"]
        )
        for part, records in parts.items()
    }
