"""What a user or a disk can do wrong, as exceptions with plain messages.

Authors
 * The PETL audio recipes team 2026
"""


class HparamsError(ValueError):
    """A recipe file or a command line that cannot be meant so."""


class AudioError(ValueError):
    """An audio file that cannot be used. The text names it and says why."""


class CheckpointError(ValueError):
    """A checkpoint that does not fit, or cannot be read."""


class DownloadError(RuntimeError):
    """A download or an archive that failed. The text says what to do."""


def refusal(path, error, remedy):
    """Makes a plain error of one from the operating system.

    Arguments
    ---------
    path : pathlib.Path
        The file it is about.
    error : OSError
        What the system said.
    remedy : str
        What to do.

    Returns
    -------
    error : PermissionError or ValueError
    """
    kind = PermissionError if isinstance(error, PermissionError) else ValueError
    return kind(f"{path}: {error.strerror or error}; {remedy}")


def listed(lines, limit=1000):
    """Lay out problems one a line, cutting a long list.

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
