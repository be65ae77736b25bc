"""Exceptions for what a user or a disk can do wrong.

A command shows these, and ``OSError``, as one line. Any other exception is a
bug and keeps its traceback.
"""


class UserError(ValueError):
    """What a user or a disk can do wrong. The text says how to mend it."""


class HparamsError(UserError):
    """A recipe file or command line with a wrong key or value."""


class DataError(UserError):
    """A data folder, list or manifest that cannot be used."""


class AudioError(UserError):
    """An audio file that cannot be used. The text names it and says why."""


class DownloadError(UserError):
    """A download or an archive that failed. The text says what to do."""


class BackboneError(UserError):
    """An encoder that cannot be loaded, or lacks what is asked of it."""


class CheckpointError(UserError):
    """A checkpoint that does not fit, or cannot be read."""


class TrainingError(UserError):
    """A training that cannot go on, such as one with an infinite loss."""


def refusal(path, error, remedy):
    """Turn an error of the operating system into a plain one.

    Arguments
    ---------
    path : pathlib.Path
        The file that the error is about.
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


def listed(lines, limit=1000):
    """Return problems as indented lines, a long list cut short.

    Arguments
    ---------
    lines : list
        One str for each problem.
    limit : int
        How many are shown.

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
