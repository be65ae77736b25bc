"""All that features depend on beside the audio file.

Authors
 * The PETL audio recipes team 2026
"""

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

FORMAT = 1  # of the cache; another number leaves old ones aside


def feature_facts(features, dtype):
    """What must be the same for cached features to be used.

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
    ValueError
        If an attribute of the features is no plain data, or their source
        text is not to be had.

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
        raise ValueError(
            f"features of {kind.__qualname__} cannot be cached, since what "
            f"they depend on cannot be told ({error}). Make them an object "
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
    """That of a source text when first asked: loaded code stays as it is."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
