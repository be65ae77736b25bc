"""Versions of the code that results depend on."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def versions():
    """Return the versions of libraries, by name.

    Returns
    -------
    dict
    """
    names = ("torch", "torchaudio", "transformers", "speechbrain")
    return {name: version(name) for name in names}


@cache
def commit(root=ROOT):
    """Return the checked-out commit of a repository.

    Arguments
    ---------
    root : pathlib.Path
        The repository's folder.

    Returns
    -------
    str or None
        Twelve digits, with ``with changes`` behind them if files but for
        those below ``results`` differ from it. None: it is no repository, as
        where the package is installed, or there is no git.
    """
    if not (root / ".git").exists():
        return None
    words = ("rev-parse --short=12 HEAD", "status --porcelain -uno . :!results")
    try:
        head, changed = (
            subprocess.run(
                ["git", *line.split()],
                cwd=root,
                capture_output=True,
                text=True,
            ).stdout.strip()
            for line in words
        )
    except FileNotFoundError:
        return None
    return f"{head}{' with changes' * bool(changed)}" if head else None
