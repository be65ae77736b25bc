"""From a manifest to the datasets of one fold.

Authors
 * The PETL audio recipes team 2026
"""

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes

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
        If the fold does not exist or a part would be empty.

    Example
    -------
    >>> records = {f"clip{fold}": {"fold": fold} for fold in range(1, 6)}
    >>> parts = split_by_fold(records, test_fold=1, n_folds=5, valid_offset=-1)
    >>> {part: list(clips) for part, clips in parts.items()}
    {'train': ['clip2', 'clip3', 'clip4'], 'valid': ['clip5'], 'test': ['clip1']}
    """
    if test_fold not in range(1, n_folds + 1):
        raise ValueError(
            f"there is no fold {test_fold}: folds go from 1 to {n_folds}"
        )
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


def make_datasets(parts, data_folder, features, labels):
    """SpeechBrain datasets of features and targets.

    Features are computed when a clip is fetched, in the loader's workers.

    Arguments
    ---------
    parts : dict
        Records by id, by part (see ``split_by_fold``).
    data_folder : str
        What stands for ``{data_root}`` in the records' paths.
    features : callable
        From samples ``[time]`` to features ``[frames, mel]``; its
        ``sample_rate`` is what it takes.
    labels : list of str
        Class names in the order of the logits.

    Returns
    -------
    dict
        A ``DynamicItemDataset`` a part, with ``id``, ``features`` and
        ``target`` (``[1]``, the class index).
    """
    index = {label: i for i, label in enumerate(labels)}

    @takes("wav")
    @provides("features")
    def audio_pipeline(wav):
        path = wav.replace("{data_root}", str(data_folder))
        return features(read_audio(path, features.sample_rate))

    @takes("label")
    @provides("target")
    def label_pipeline(label):
        return torch.tensor([index[label]])

    return {
        part: DynamicItemDataset(
            records,
            dynamic_items=[audio_pipeline, label_pipeline],
            output_keys=["id", "features", "target"],
        )
        for part, records in parts.items()
    }
