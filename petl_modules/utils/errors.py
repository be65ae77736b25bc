"""Exceptions for mistakes of a user and failures of a disk.

A command shows these exceptions, and ``OSError``, as one line. Any other
exception is a bug and keeps its traceback.
"""

import contextlib


class UserError(ValueError):
    """A mistake of a user or a failure of a disk. The text gives the remedy.

    Each argument is the text of one mistake, and a line of the whole.

    Example
    -------
    >>> print(UserError("lr is 0", "seed is -1"))
    lr is 0
    seed is -1
    """

    def __str__(self):
        return "\n".join(map(str, self.args))


class HparamsError(UserError):
    """A recipe file or command line with a wrong key or value."""


class DataError(UserError):
    """A data folder, list or manifest that cannot be used."""


class AudioError(UserError):
    """An audio file that cannot be used. The text names it and says why."""


class DownloadError(UserError):
    """A download or an archive that failed. The text says what to do."""


class CheckpointError(UserError):
    """A checkpoint that does not fit, or cannot be read."""


class ExportError(UserError):
    """A trained model that a format cannot carry. The text says why."""


class TrainingError(UserError):
    """Training that cannot continue, for example with an infinite loss."""


@contextlib.contextmanager
def noting(mistakes):
    """Add the mistakes of a user to a list, in place of raising them.

    Arguments
    ---------
    mistakes : list of str
        Changed in place.

    Example
    -------
    >>> mistakes = []
    >>> with noting(mistakes):
    ...     raise UserError("lr is 0")
    >>> mistakes
    ['lr is 0']
    """
    try:
        yield
    except UserError as error:
        mistakes += error.args


def refusal(path, error, remedy):
    """Turn an error of the operating system into one with path and remedy.

    Arguments
    ---------
    path : pathlib.Path
        The file that the error concerns.
    error : OSError
        The system's error.
    remedy : str
        What to do.

    Returns
    -------
    error : PermissionError or DataError
    """
    kind = PermissionError if isinstance(error, PermissionError) else DataError
    return kind(f"{path}: {error.strerror or error}; {remedy}")


@contextlib.contextmanager
def naming(what):
    """Turn any error in what a recipe file says into the user's.

    Classes and functions get what the file says, of whatever type it is. The
    run's log keeps the traceback. Errors of a disk, and of memory that is
    full, stay as they are.

    Arguments
    ---------
    what : str
        What fails, such as ``loss, in the recipe file``.

    Raises
    ------
    HparamsError
        In place of the error, with its text.

    Example
    -------
    >>> with naming("sizes, in the recipe file"):
    ...     {}["width"]
    Traceback (most recent call last):
    petl_modules.utils.errors.HparamsError: sizes, in the recipe file: KeyError: width
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        text = " ".join(str(part) for part in error.args) or "no reason given"
        if isinstance(error, RuntimeError) and "memory" in text:
            raise
        clear = (ValueError, TypeError, ImportError)
        if not isinstance(error, clear) and type(error) is not RuntimeError:
            text = f"{type(error).__name__}: {text}"
        raise HparamsError(f"{what}: {text}") from error


def brief(error):
    """Return an error's text as one line of at most 300 characters or so.

    Arguments
    ---------
    error : Exception
        The error, such as one of a library.

    Returns
    -------
    text : str
        The name of its class if it has no text.

    Example
    -------
    >>> brief(KeyError()), brief(ValueError("no\\n  such file"))
    ('KeyError', 'no such file')
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}..."


def listed(lines, limit=1000):
    """Return problems as indented lines; cut a long list.

    Arguments
    ---------
    lines : list
        One str for each problem.
    limit : int
        The largest number of problems to show.

    Returns
    -------
    text : str
        The indented lines.

    Example
    -------
    >>> print(listed(["a.wav: empty", "b.wav: empty"], limit=1))
      a.wav: empty
      ... and 1 more
    """
    shown = lines[:limit]
    if len(lines) > limit:
        shown = shown + [f"... and {len(lines) - limit} more"]
    return "\n".join(f"  {line}" for line in shown)
