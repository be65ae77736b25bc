"""Import the libraries that this project stands on, or say what does not fit.

A pair of versions may satisfy all declared ranges and still not import:
torchaudio is compiled for one torch. ``python -m petl_modules.libraries``, the
end of the set-up, imports all of them.
"""

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

# Each with the one that it has to fit, in an order in which the first that
# fails is the one to blame
PARTNERS = {
    "numpy": None,
    "torch": None,
    "torchaudio": "torch",
    "ruamel.yaml": None,
    "hyperpyyaml": "ruamel.yaml",
    "speechbrain": "torchaudio",
    "safetensors": "torch",
    "sentencepiece": None,
    "transformers": "torch",
    "soundfile": "numpy",
    "soxr": "numpy",
    "matplotlib": "numpy",
    "tqdm": None,
}
REMEDY = """\
Install versions that fit each other. In a checkout, the set-up installs those
of requirements-lock.txt anew:
    make clean test
In an environment of your own, from the checkout:
    python -m pip install -r requirements-lock.txt"""


class LibraryError(ImportError):
    """A library that is missing, or that does not fit another one."""


def require_libraries(*names):
    """Imports libraries.

    Arguments
    ---------
    *names : str
        Keys of ``PARTNERS``, in its order.

    Returns
    -------
    list of str
        Each library with its version.

    Raises
    ------
    LibraryError
        If one does not import; it names the two that do not fit. Not caught,
        it ends the program with its message alone.

    Example
    -------
    >>> require_libraries("numpy", "soxr")[1].split()[0]
    'soxr'
    """
    for name in names:
        try:
            import_module(name)
        except (ImportError, OSError, AttributeError, RuntimeError) as error:
            found = LibraryError(_explain(name, error))
        else:
            continue
        _show_without_traceback()
        raise found
    return [_with_version(name) for name in names]


def _explain(name, error):
    """What does not fit, and the remedy."""
    partner = PARTNERS[name]
    missing = isinstance(error, ModuleNotFoundError) and error.name
    if missing == name:
        problem = f"{name} is not installed"
    elif missing:
        problem = f"{_with_version(name)} needs {missing}, which is missing"
    elif partner is None:
        problem = f"{_with_version(name)} does not import: {_short(error)}"
    else:
        problem = (
            f"{_with_version(name)} does not fit {_with_version(partner)}: "
            f"{_short(error)}"
        )
    return f"{problem}\n{REMEDY}"


def _with_version(name):
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} (unknown version)"


def _short(error):
    return f"{type(error).__name__}: {error}"


def _show_without_traceback():
    """Lets an uncaught LibraryError end the program with its message."""
    usual = sys.excepthook

    def show(kind, error, traceback):
        if issubclass(kind, LibraryError):
            print(f"error: {error}", file=sys.stderr)
        else:
            usual(kind, error, traceback)

    sys.excepthook = show


if __name__ == "__main__":
    print("imported:", ", ".join(require_libraries(*PARTNERS)))
