"""Read a dataset's list of clips, and report every problem with its line."""

import unicodedata
from pathlib import PureWindowsPath

from petl_modules.data.prepare.list_rows import read_rows
from petl_modules.utils import DataError, listed, read_bytes, refusal


def read_list(path):
    """Return a file's bytes, or None if there is no such file.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    content : bytes or None

    Raises
    ------
    PermissionError or DataError
        The file exists and cannot be read.
    """
    try:
        return read_bytes(path, "Make it a readable file")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error, "make it a readable file") from error


def read_table(content, columns, known=()):
    """Read a CSV file with a header; comma, semicolon or tab separates.

    Arguments
    ---------
    content : bytes
        The file, see ``decode_list``.
    columns : iterable
        Names of required columns.
    known : iterable
        Names of optional columns, which may occur once.

    Returns
    -------
    rows : list
        ``(line, {column: text})`` pairs of the complete rows.
    problems : list
        ``(line, text)`` pairs. With a wrong header there are no rows.

    Example
    -------
    >>> read_table(b"name,fold\\na.wav,1\\nb.wav", ["name"])
    ([(2, {'name': 'a.wav', 'fold': '1'})], [(3, '1 fields where the header has 2')])
    """
    lines, problems = read_rows(content, columns)
    first, header = lines[0] if lines else (1, [])
    wrong = []
    if lines or not problems:
        wrong = header_problems(header, columns, known)
    if not problems and not wrong and len(lines) == 1:
        wrong = ["no clips are listed below the header"]
    problems += [(first, text) for text in wrong]
    rows = []
    for line, fields in [] if wrong else lines[1:]:
        if len(fields) == len(header):
            rows.append((line, dict(zip(header, fields))))
        else:
            text = f"{len(fields)} fields where the header has {len(header)}"
            problems.append((line, text))
    return rows, problems


def path_problem(name):
    """Return why a path is not a file name below the data folder, or None.

    Example
    -------
    >>> path_problem("../a.wav")
    "'../a.wav' leaves the data folder"
    """
    path = PureWindowsPath(name)  # knows both kinds of slash
    if path.drive or path.root or ".." in path.parts:
        return f"{name!r} leaves the data folder"
    kinds = {unicodedata.category(character) for character in name}
    if not path.stem or kinds & {"Cc", "Cs"}:  # control, half a character
        return f"{name!r} is no file name"
    return None


def refuse(problems, remedy="Correct them, or fetch the dataset again."):
    """Raise one error with all problems of a dataset's lists, if any.

    Arguments
    ---------
    problems : list
        ``(file, line, text)`` triples.
    remedy : str
        What to do.

    Raises
    ------
    DataError
        One line for each problem, ``file:line: text``.
    """
    if problems:
        texts = [f"{file}:{line}: {text}" for file, line, text in problems]
        raise DataError(
            f"Problems in the list of clips ({len(texts)}):\n{listed(texts)}\n"
            + remedy
        )


def header_problems(header, needed, known=()):
    """Return a text for each column that is missing or repeated.

    Arguments
    ---------
    header : list
        The column names.
    needed : iterable
        Names that must occur once.
    known : iterable
        Names that may occur once.

    Returns
    -------
    problems : list
        One text each.

    Example
    -------
    >>> header_problems(["name", "fold"], ["name", "label"])
    ["column 'label' is missing; found: name, fold"]
    """
    found = ", ".join(header) or "none"
    problems = [
        f"column {name!r} is missing; found: {found}"
        for name in needed
        if name not in header
    ]
    return problems + [
        f"column {name!r} is there {header.count(name)} times; found: {found}"
        for name in (*needed, *known)
        if header.count(name) > 1
    ]
