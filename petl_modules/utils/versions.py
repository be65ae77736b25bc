"""Versions of the libraries that results depend on."""

from importlib.metadata import version


def versions():
    """Return the versions, by name of the library.

    Returns
    -------
    dict
    """
    names = ("torch", "torchaudio", "transformers", "speechbrain")
    return {name: version(name) for name in names}
