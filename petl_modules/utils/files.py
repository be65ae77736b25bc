"""Write files and folders atomically: complete or not at all.

``reading.py`` reads what is written here.
"""

import csv
import errno
import io
import json
import os
import tempfile
from pathlib import Path

from speechbrain.utils.logger import get_logger

from petl_modules.utils.errors import UserError

logger = get_logger(__name__)


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
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        if error.filename is None:  # a full disk, for one
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def flush(path):
    """Flush a file, or a folder's entries, to the disk.

    Writes and renames then survive a crash of the system. Some file systems
    cannot do this, and are used as they are.

    Arguments
    ---------
    path : pathlib.Path
        The file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        logger.warning_once(
            f"the file system cannot flush to the disk ({error.strerror}): "
            "after a crash of the system, files written last may be damaged"
        )
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


def is_taken(folder):
    """Return whether a path exists, or is a link, and is no empty folder.

    Arguments
    ---------
    folder : pathlib.Path
        The path.

    Returns
    -------
    taken : bool
        False if ``build_folder`` may put a folder there.
    """
    if folder.is_symlink():  # a folder cannot take its place
        return True
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def require_new_folder(folder):
    """Check, before long work, that ``build_folder`` may put a folder there.

    Arguments
    ---------
    folder : pathlib.Path
        The folder to come.

    Raises
    ------
    FileExistsError
        It is there and not empty, or is a link.
    UserError
        It is below a file or in a folder that cannot be written to.
    """
    if is_taken(folder):
        what = "is a link" if folder.is_symlink() else "is not empty"
        raise FileExistsError(f"{folder} {what}: name a new folder")
    _require_place(folder, "folder")


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
        One or more rows, all with the same keys. What has no form in UTF-8,
        such as some names of files, is written as ``printable`` shows it.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, stream.getvalue().encode(errors="backslashreplace"))


def require_new(path, option="--output"):
    """Check, before long work, that a file can be written without loss.

    Arguments
    ---------
    path : str or pathlib.Path
        The file to come. Missing folders above it are made when it is written.
    option : str
        What names it on the command line.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    UserError
        It is there already, or is below a file or in a folder that cannot be
        written to.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise UserError(
            f"{path} is there already, and nothing is written over it: name "
            f"another {option}, or move it away"
        )
    _require_place(path, option)
    return path


def _require_place(path, option):
    """Refuse a path below a file, or in a folder that cannot be written to."""
    there = next(place for place in path.parents if os.path.lexists(place))
    problem = None if there.is_dir() else "no folder"
    if not problem and not os.access(there, os.W_OK | os.X_OK):
        problem = "read-only"
    if problem:
        raise UserError(
            f"{path} cannot be written, as {there} is {problem}: name another "
            f"{option}"
        )
