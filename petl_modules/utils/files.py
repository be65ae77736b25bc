"""Writing files and folders so that a kill never leaves half of one.

Authors
 * The PETL audio recipes team 2026
"""

import csv
import io
import json
import os
import tempfile
from pathlib import Path


def write_bytes(path, content):
    """Replace a file in one step.

    The content goes to a temporary file beside the target, is flushed to the
    disk and then renamed over it.

    Arguments
    ---------
    path : str or pathlib.Path
        The file to write. Its folder is made where it is missing.
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
    """Makes the names in a folder outlive a crash of the machine.

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
    """Reads a JSON file.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it: the same command makes "
            "it again"
        ) from error


def is_taken(folder):
    """Whether a path is anything but free or an empty folder.

    Arguments
    ---------
    folder : pathlib.Path
        The path.

    Returns
    -------
    taken : bool
        False where ``build_folder`` may put a folder.
    """
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def build_folder(folder, build):
    """Make a folder that is there as a whole or not at all.

    Arguments
    ---------
    folder : pathlib.Path
        The folder, which is not there yet or empty.
    build : callable
        Gets a path beside ``folder`` and makes a folder there, which is then
        renamed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}."
    ) as scratch:
        whole = Path(scratch) / folder.name
        build(whole)
        os.replace(whole, folder)


def write_csv(path, rows):
    """Writes rows with their keys as header, in one step.

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
    """The rows of a file of ``write_csv``, all values as text."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
