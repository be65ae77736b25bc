"""Import the libraries that this project needs, and name versions that clash.

Two versions may satisfy all declared ranges and still not import together:
torchaudio is compiled for one version of torch. The set-up ends with
``python -m petl_modules.libraries``, which imports all of them.
"""

import os
import signal
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

# Each library with the library that it has to fit. Order: the first import
# that fails names the cause
PARTNERS = {
    "numpy": None,
    "torch": None,
    "torchaudio": "torch",
    "ruamel.yaml": None,
    "hyperpyyaml": "ruamel.yaml",
    "speechbrain": "torchaudio",
    "safetensors": "torch",
    "sentencepiece": None,
    "huggingface_hub": None,
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


INTERRUPTED = 130  # exit status of a program that Ctrl-C has ended


class LibraryError(ImportError):
    """A library that is missing, or that does not fit another one."""


def require_libraries(*names):
    """Import libraries.

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
        If a library does not import; names the two versions that do not fit.
        Uncaught, the error ends the program with its message, no traceback.

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


def end_if_interrupted():
    """Let Ctrl-C end this program with one line, from now on.

    A program calls this function before its imports. The exception that Ctrl-C
    raises otherwise has a long traceback there, and some libraries swallow it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_if_interrupted():
    """Let Ctrl-C raise KeyboardInterrupt again, which can be caught."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_):
    os.write(sys.__stderr__.fileno(), b"interrupted\n")
    os._exit(INTERRUPTED)


def _explain(name, error):
    """Return the problem and the remedy as text."""
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
    """Make an uncaught LibraryError print its message without a traceback."""
    usual = sys.excepthook

    def show(kind, error, traceback):
        if issubclass(kind, LibraryError):
            print(f"error: {error}", file=sys.stderr)
        else:
            usual(kind, error, traceback)

    sys.excepthook = show


if __name__ == "__main__":
    print("imported:", ", ".join(require_libraries(*PARTNERS)))
