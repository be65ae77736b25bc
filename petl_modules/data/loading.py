"""From an audio file to the features of a clip, or of windows of it."""

import contextlib
import math
import os

import torch

from petl_modules.data.audio import read_audio
from petl_modules.utils import AudioError


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
    """Return the samples of a clip's beginning that features are made of.

    Arguments
    ---------
    features, data_folder, wav, digest
        See ``load_features``.

    Returns
    -------
    torch.Tensor
        ``[time]``.
    """
    path = audio_path(data_folder, wav)
    longest = getattr(features, "longest", None)
    return read_audio(path, features.sample_rate, digest, longest)


def load_drawn(windows, features, data_folder, *facts):
    """Compute the features of a clip's training window.

    Arguments
    ---------
    windows, features, data_folder, *facts
        See ``read_drawn``.

    Returns
    -------
    torch.Tensor
        ``[time, ...]``.
    """
    with one_thread():
        return features(read_drawn(windows, features, data_folder, *facts))


def read_drawn(windows, features, data_folder, wav, duration, clip="", epoch=1):
    """Return the samples of a clip's training window.

    Arguments
    ---------
    windows : Windows
        What is used of a clip.
    features, data_folder, wav
        See ``petl_modules.data.load_features``.
    duration : float
        Length of the clip in seconds.
    clip, epoch
        See ``Windows.draw``.

    Returns
    -------
    torch.Tensor
        ``[time]``, as long as a window.
    """
    samples = _count(duration, features.sample_rate)
    start = windows.draw(samples, features.longest, clip, epoch)
    path = audio_path(data_folder, wav)
    return _read(features, path, samples, [start])[0]


def load_spaced(windows, features, data_folder, wav, duration):
    """Compute the features of a clip's test windows.

    Arguments
    ---------
    windows, features, data_folder, wav, duration
        See ``load_drawn``.

    Returns
    -------
    torch.Tensor
        ``[windows, time, ...]``, of one window ``[time, ...]``.

    Raises
    ------
    AudioError
        See ``petl_modules.data.read_audio``; or the file is shorter than
        ``duration``.
    """
    samples = _count(duration, features.sample_rate)
    starts = windows.starts(samples, features.longest)
    path = audio_path(data_folder, wav)
    with one_thread():
        found = _read(features, path, samples, starts)
        return _stacked([features(window) for window in found])


def window_features(windows, features, samples):
    """Compute the features of a test clip from its samples.

    Arguments
    ---------
    windows, features
        See ``load_drawn``.
    samples : torch.Tensor
        The whole clip, ``[time]``.

    Returns
    -------
    torch.Tensor
        See ``load_spaced``; what the features make of the clip if windows
        are not ``moving``, or are whole clips.
    """
    if windows.test == "whole" or not windows.moving:
        return features(samples)
    starts = windows.starts(len(samples), features.longest)
    found = [_filled(features, samples, start) for start in starts]
    return _stacked([features(window) for window in found])


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


def _count(duration, sample_rate):
    """Return the number of samples; halves go down, as the file may."""
    return math.ceil(duration * sample_rate - 0.5 - 1e-6)


def _read(features, path, samples, starts):
    """Return the samples of windows; what lies between is not read."""
    spans = []  # the first window's start, and the last one's end
    for start in starts:
        end = min(start + features.longest, samples)
        if spans and start <= spans[-1][1]:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    found = []
    for first, end in spans:
        part = read_audio(
            path, features.sample_rate, longest=end - first, start=first
        )
        if len(part) < end - first:
            raise AudioError(
                f"{path}: shorter than it was when it was prepared. Wait "
                "until nothing writes to the data, then run again"
            )
        found += [
            _filled(features, part, start - first)
            for start in starts
            if first <= start < end
        ]
    return found


def _filled(features, samples, start):
    """Return the samples of a window, which a short clip fills repeatedly."""
    window = samples[start : start + features.longest]
    times = -(-features.longest // len(window))
    return window.repeat(times)[: features.longest]


def _stacked(found):
    """Return the features of windows as one tensor."""
    return torch.stack(found) if len(found) > 1 else found[0]
