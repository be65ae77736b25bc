"""From a record to what a model reads: features and target of a clip."""

import contextlib
import os

import torch
import torch.nn.functional as F

from petl_modules.data.audio import read_audio
from petl_modules.data.mixup import mix_waveforms
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
    with one_thread():
        return features(read_used(features, data_folder, wav, digest))


def read_used(features, data_folder, wav, digest=None):
    """Return the samples of a clip that features are computed from.

    Arguments
    ---------
    features, data_folder, wav, digest
        See ``load_features``.

    Returns
    -------
    torch.Tensor
        ``[time]``.
    """
    longest = getattr(features, "longest", None)
    path = audio_path(data_folder, wav)
    return read_audio(path, features.sample_rate, digest, longest)


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


def load_mixed(features, data_folder, labels, records, weight):
    """Return a training item of two clips, mixed before the features.

    Arguments
    ---------
    features, data_folder
        See ``load_features``.
    labels : list of str
        Class names in the order of the logits.
    records : list of dict
        The two clips; the item has the id of the first.
    weight : float
        The share of the first.

    Returns
    -------
    dict
        As an item of ``make_datasets``, but ``target`` is the share of each
        class, ``[classes]``.
    """
    with one_thread():
        clips = [read_used(features, data_folder, r["wav"]) for r in records]
        samples = mix_waveforms(*clips, weight) if weight < 1 else clips[0]
        one, other = (
            F.one_hot(encode_label(labels, r["label"])[0], len(labels))
            for r in records
        )
        return {
            "id": records[0]["id"],
            "features": features(samples),
            "target": weight * one + (1 - weight) * other,
        }
