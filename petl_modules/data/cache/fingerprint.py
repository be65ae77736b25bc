"""Fingerprint of features: everything they depend on but the audio file."""

import functools
import hashlib
import inspect
import json
import sys
from importlib.metadata import version

import soundfile
import torch

from petl_modules.data import (
    audio,
    containers,
    decoding,
    load_features,
    resampling,
    sources,
)
from petl_modules.data.containers import chunks, flac, headers, mpeg, ogg, part
from petl_modules.data.loading import one_thread
from petl_modules.utils import HparamsError

FORMAT = 2  # of the cache; raise it to ignore caches of an older format
READING = (
    *(audio, containers, decoding, load_features, resampling, sources),
    *(chunks, flac, headers, mpeg, ogg, part),
)


def feature_facts(features, dtype):
    """Return the facts that must be equal for cached features to be used.

    Arguments
    ---------
    features : callable
        See ``petl_modules.data.load_features``.
    dtype : str
        Dtype of the stored values.

    Returns
    -------
    dict
        Plain data.

    Raises
    ------
    HparamsError
        An attribute of the features is not plain data, or the source text of
        their class is not available.

    Example
    -------
    >>> from petl_modules.data import FilterBank
    >>> facts = feature_facts(FilterBank(frames=100), "float32")
    >>> facts["settings"]["frames"], facts["shape"]
    (100, ['time', 128])
    """
    kind = type(features)
    modules = [sys.modules[c.__module__] for c in kind.__mro__[:-1]]
    try:
        settings = json.loads(json.dumps(vars(features)))
        texts = [_sha256(part) for part in (*modules, *READING)]
    except (TypeError, OSError) as error:
        raise HparamsError(
            f"features of {kind.__qualname__} cannot be cached, since what "
            f"they depend on is not known ({error}). Make them an object "
            "of a class in a file, with numbers and texts for attributes"
        ) from error
    with one_thread():
        example = features(torch.zeros(features.sample_rate))
    names = ("torch", "torchaudio", "numpy", "soxr")
    return {
        "format": FORMAT,
        "features": f"{kind.__module__}.{kind.__qualname__}",
        "settings": settings,
        "shape": ["time", *example.shape[1:]],
        "dtype": dtype,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "sources": texts,
        "versions": {
            **{name: version(name) for name in names},
            "libsndfile": soundfile.__libsndfile_version__,
        },
    }


@functools.cache
def _sha256(part):
    """Return the digest of an object's source text, read once a process."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
