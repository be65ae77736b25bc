"""Checksums of a folder's files, so that a changed or cut file is noticed."""

import hashlib
import re

from petl_modules.utils.files import flush, write_json
from petl_modules.utils.reading import read_json

SEAL = "checksums.json"


def seal(folder, names, coming=None):
    """Flush files to the disk and write their checksums.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    names : iterable of str
        The files in it.
    coming : dict or None
        Contents, by name, of files that are written next.

    Example
    -------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("hello")
    >>> seal(folder, ["a.txt"])
    >>> find_damage(folder, ["a.txt"])
    >>> _ = (folder / "a.txt").write_text("hallo")
    >>> find_damage(folder, ["a.txt"])
    'a.txt was changed or cut'
    """
    coming = coming or {}
    sums = {k: hashlib.sha256(v).hexdigest() for k, v in coming.items()}
    for name in sorted({*names} - {*coming}):
        sums[name] = sha256(folder / name)
        flush(folder / name)
    write_json(folder / SEAL, sums)


def find_damage(folder, names):
    """Return what is wrong with sealed files.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    names : iterable of str
        The files that must be among the sealed ones.

    Returns
    -------
    str or None
        None: all are as they were sealed.
    """
    try:
        form = {str: re.compile("[0-9a-f]{64}")}
        sums = read_json(folder / SEAL, form, "Its files cannot be verified")
        if missing := sorted(set(names) - sums.keys()):
            return f"{missing[0]} was added, or left out of {SEAL}"
        for name, expected in sums.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if sha256(folder / name) != expected:
                return f"{name} was changed or cut"
    except (OSError, ValueError) as error:  # ValueError: a name that is none
        return str(error)
    return None


def sha256(path):
    """Return the SHA-256 of a file's content, as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
