"""All that features depend on, apart from the audio file."""

import functools
import hashlib
import inspect
import json
import sys
from importlib.metadata import version

import soundfile
import torch

from petl_modules.data import audio, load_features
from petl_modules.data.datasets import one_thread
from petl_modules.utils import HparamsError

FORMAT = 2  # of the cache; another number leaves old ones unused


def feature_facts(features, dtype):
    """Return what must be the same for cached features to be used.

    Arguments
    ---------
    features : callable
        See ``petl_modules.data.load_features``.
    dtype : str
        Of what is stored.

    Returns
    -------
    dict
        Plain data.

    Raises
    ------
    HparamsError
        An attribute of the features is no plain data, or their source text
        is not available.

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
        sources = [_sha256(part) for part in (*modules, audio, load_features)]
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
        "sources": sources,
        "versions": {
            **{name: version(name) for name in names},
            "libsndfile": soundfile.__libsndfile_version__,
        },
    }


@functools.cache
def _sha256(part):
    """Return the digest of a source text, read once: loaded code stays."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
