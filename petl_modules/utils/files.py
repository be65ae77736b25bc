"""Write files and folders so that a kill never leaves half of one."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path

from petl_modules.utils.errors import DataError


def write_bytes(path, content):
    """Replace a file in one step.

    The content goes to a temporary file in the same folder, is flushed to
    the disk and then renamed to the target.

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write. Its folder is made if it is missing.
    content : bytes
        The whole new content.

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
    """Flush the names in a folder to the disk, to outlive a crash.

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
    """Replace a text file in one step (see ``write_bytes``).

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write.
    text : str
        The whole new content.
    """
    write_bytes(path, text.encode())


def write_json(path, value):
    """Replace a JSON file in one step (see ``write_bytes``).

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write.
    value : object
        Anything the ``json`` module takes. Keys keep their order.
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
        It is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete it: the same command makes "
            "it again"
        ) from error


def is_taken(folder):
    """Say whether a path is neither free nor an empty folder.

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
    """Make a folder that is complete or not there at all.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which is missing or empty.
    build : callable
        Gets a path and makes a folder there, which is then renamed to
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
    """Write rows with their keys as header, in one step.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    rows : list of dict
        At least one, all with the same keys.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def read_csv(path):
    """Read the rows of a file of ``write_csv``, all values as text."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
