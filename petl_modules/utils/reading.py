"""Read JSON and CSV files, and check their form.

Every file that a run has written is read here: whatever is wrong with it ends
in a ``UserError`` with the file, the place in it, and what to do.
"""

import csv
import io
import json
from pathlib import Path

from petl_modules.utils.errors import DataError
from petl_modules.utils.forms import problem


def damaged(path, reason, remedy):
    """Return the error of a file that is not as it was written.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    reason : object
        What is wrong with it.
    remedy : str
        What to do.

    Returns
    -------
    DataError
    """
    return DataError(f"{path} is damaged ({reason}). {remedy}")


def other_kind(path):
    """Return what stands where a file is expected.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    str or None
        ``a folder``, or ``a pipe or device``, which would be waited for.
        None: there is a file, or nothing.
    """
    if path.is_file() or not path.exists():
        return None
    return "a folder" if path.is_dir() else "a pipe or device"


def read_bytes(path, remedy):
    """Return the content of an ordinary file.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    remedy : str
        What to do if it is damaged.

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        It is a folder, or a pipe or device, which would be waited for.
    FileNotFoundError, PermissionError
    """
    path = Path(path)
    if kind := other_kind(path):
        raise DataError(f"{path} is {kind}, not a file. {remedy}")
    return path.read_bytes()


def read_json(path, form, remedy):
    """Read a JSON file and check its form.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    form : object
        See ``petl_modules.utils.forms``.
    remedy : str
        What to do if it is damaged.

    Returns
    -------
    object

    Raises
    ------
    DataError
        See ``read_bytes`` and ``parse_json``.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data.json"
    >>> _ = path.write_text('{"clips": 2}')
    >>> read_json(path, {"clips": int}, "Delete it")
    {'clips': 2}
    """
    return parse_json(read_bytes(path, remedy), form, path, remedy)


def parse_json(content, form, source, remedy):
    """Parse JSON and check its form.

    Arguments
    ---------
    content : bytes or str
        The JSON text.
    form : object
        See ``petl_modules.utils.forms``.
    source : str or pathlib.Path
        Where it comes from.
    remedy : str
        What to do if it is damaged.

    Returns
    -------
    object

    Raises
    ------
    DataError
        It is empty or no JSON, nested too deeply, or has another form.

    Example
    -------
    >>> parse_json("[1, NaN]", [int], "a.json", "Delete it")
    Traceback (most recent call last):
    petl_modules.utils.errors.DataError: a.json is damaged (NaN is no number). Delete it
    """
    if not content.strip():
        raise damaged(source, "it is empty", remedy)
    try:
        value = json.loads(
            content, parse_constant=_refuse, object_pairs_hook=_unique
        )
    except RecursionError:
        raise damaged(source, "it is nested too deeply", remedy) from None
    except ValueError as error:
        raise damaged(source, error, remedy) from error
    if reason := problem(value, form):
        raise damaged(source, reason, remedy)
    return value


def _refuse(name):
    """Refuse NaN and infinities, which are no JSON."""
    raise ValueError(f"{name} is no number")


def _unique(pairs):
    """Return a mapping; refuse a key that is there twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return value


def read_csv(path, columns=(), remedy="Restore it"):
    """Read the rows of a CSV file of ``write_csv``; all values are text.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    columns : iterable
        Names of columns that it must have.
    remedy : str
        What to do if it is damaged.

    Returns
    -------
    list of dict

    Raises
    ------
    DataError
        The file is empty or cut, is not UTF-8, or lacks a column.
    """
    content = read_bytes(path, remedy)
    try:
        text = io.StringIO(content.decode("utf-8"), newline="")
        reader = csv.reader(text, strict=True)
        lines = [(reader.line_num, row) for row in reader if row]
    except (ValueError, csv.Error) as error:
        raise damaged(path, error, remedy) from error
    if not lines:
        raise damaged(path, "it is empty", remedy)
    (_, names), *lines = lines
    for name in (*columns, *names):
        if names.count(name) != 1:
            reason = f"the column {name!r} is there {names.count(name)} times"
            raise damaged(path, reason, remedy)
    for number, row in lines:
        if len(row) != len(names):
            reason = f"line {number} has {len(row)} fields, not {len(names)}"
            raise damaged(path, reason, remedy)
    if not content.endswith(b"\n"):
        raise damaged(path, "its last line is cut", remedy)
    return [dict(zip(names, row)) for _, row in lines]
