"""Write files and folders atomically: complete or not at all."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path

from petl_modules.utils.errors import DataError


def write_bytes(path, content):
    """Replace a file atomically.

    The content goes to a temporary file in the same folder, is flushed to
    the disk and then renamed to the target.

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write. A missing folder is made.
    content : bytes
        The complete new content.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "deep" / "note.txt"
    >>> write_bytes(path, b"hello")
    >>> path.read_text()
    'hello'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder):
    """Flush a folder's entries to the disk, so that renames survive a crash.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path, text):
    """Replace a text file atomically (see ``write_bytes``).

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write.
    text : str
        The complete new content.
    """
    write_bytes(path, text.encode())


def write_json(path, value):
    """Replace a JSON file atomically (see ``write_bytes``).

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write.
    value : object
        Any value that the ``json`` module takes. Keys keep their order.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path):
    """Read a JSON file.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    object

    Raises
    ------
    DataError
        The file is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete it: the same command makes "
            "it again"
        ) from error


def is_taken(folder):
    """Return whether a path exists and is not an empty folder.

    Arguments
    ---------
    folder : pathlib.Path
        The path.

    Returns
    -------
    taken : bool
        False if ``build_folder`` may put a folder there.
    """
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def build_folder(folder, build):
    """Make a folder atomically: complete or not at all.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which must be missing or empty.
    build : callable
        Makes a folder at the path it is given. That folder is then renamed to
        ``folder``.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}."
    ) as scratch:
        whole = Path(scratch) / folder.name
        build(whole)
        os.replace(whole, folder)


def write_csv(path, rows):
    """Write rows atomically as a CSV file, with their keys as header.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    rows : list of dict
        One or more rows, all with the same keys.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def read_csv(path):
    """Read the rows of a CSV file of ``write_csv``; all values are text."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
