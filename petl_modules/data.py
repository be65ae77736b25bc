"""From a manifest to the datasets of one fold.

Authors
 * The PETL audio recipes team 2026
"""

from functools import partial

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from petl_modules.audio import read_audio


def split_by_fold(records, test_fold, n_folds, valid_offset):
    """Training, validation and test part for one test fold.

    Arguments
    ---------
    records : dict
        The manifest, each record with its ``fold`` from 1 to ``n_folds``.
    test_fold : int
        The fold that is tested on.
    n_folds : int
        How many folds there are.
    valid_offset : int
        The validation fold lies so many folds from the test fold,
        cyclically.

    Returns
    -------
    dict
        ``train``, ``valid`` and ``test``: records by id.

    Raises
    ------
    ValueError
        If a part would be empty.

    Example
    -------
    >>> records = {f"clip{fold}": {"fold": fold} for fold in range(1, 6)}
    >>> parts = split_by_fold(records, test_fold=1, n_folds=5, valid_offset=-1)
    >>> {part: list(clips) for part, clips in parts.items()}
    {'train': ['clip2', 'clip3', 'clip4'], 'valid': ['clip5'], 'test': ['clip1']}
    """
    valid_fold = (test_fold - 1 + valid_offset) % n_folds + 1
    names = {test_fold: "test", valid_fold: "valid"}
    parts = {"train": {}, "valid": {}, "test": {}}
    for clip, record in records.items():
        parts[names.get(record["fold"], "train")][clip] = record
    for part, clips in parts.items():
        if not clips:
            raise ValueError(
                f"with test fold {test_fold} (validation fold {valid_fold}) "
                f"no clip is left for the {part} part; folds with clips: "
                f"{sorted({r['fold'] for r in records.values()})}"
            )
    return parts


def load_features(features, data_folder, wav):
    """Features of one clip.

    Arguments
    ---------
    features : callable
        From samples ``[time]`` to features ``[frames, mel]``; its
        ``sample_rate`` is what it takes.
    data_folder : str
        What stands for ``{data_root}`` in ``wav``.
    wav : str
        The audio file.

    Returns
    -------
    torch.Tensor
        ``[frames, mel]``.
    """
    path = wav.replace("{data_root}", str(data_folder))
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
        Records by id, by part (see ``split_by_fold``).
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
