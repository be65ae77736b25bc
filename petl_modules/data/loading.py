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
    path = audio_path(data_folder, wav)
    longest = getattr(features, "longest", None)
    with one_thread():
        samples = read_audio(path, features.sample_rate, digest, longest)
        return features(samples)


def load_drawn(windows, features, data_folder, wav, duration, clip, epoch):
    """Compute the features of a clip's training window.

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
        ``[time, ...]``.
    """
    samples = _count(duration, features.sample_rate)
    start = windows.draw(samples, features.longest, clip, epoch)
    path = audio_path(data_folder, wav)
    return _load(features, path, samples, [start])[0]


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
    return _stacked(
        _load(features, audio_path(data_folder, wav), samples, starts)
    )


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
        See ``load_spaced``; as the features make them of the clip if windows
        are not ``moving``.
    """
    if not windows.moving:
        return features(samples)
    starts = windows.starts(len(samples), features.longest)
    return _stacked([_window(features, samples, start) for start in starts])


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


def _load(features, path, samples, starts):
    """Return the features of windows; what lies between is not read."""
    spans = []  # the first window's start, and the last one's end
    for start in starts:
        end = min(start + features.longest, samples)
        if spans and start <= spans[-1][1]:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    found = []
    with one_thread():
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
                _window(features, part, start - first)
                for start in starts
                if first <= start < end
            ]
    return found


def _window(features, samples, start):
    """Return the features of a window, which a short clip fills repeatedly."""
    window = samples[start : start + features.longest]
    times = -(-features.longest // len(window))
    return features(window.repeat(times)[: features.longest])


def _stacked(found):
    """Return the features of windows as one tensor."""
    return torch.stack(found) if len(found) > 1 else found[0]
