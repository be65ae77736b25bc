"""Reading a dataset's CSV file, with every problem told by its line.

Authors
 * The PETL audio recipes team 2026
"""

import csv
import io


def read_rows(content):
    """Split a CSV file into rows.

    Arguments
    ---------
    content : bytes
        The file, in UTF-8.

    Returns
    -------
    rows : list
        ``(line, fields)`` pairs, the header first. Empty lines are left out.
    problems : list
        ``(line, text)`` pairs.

    Example
    -------
    >>> read_rows(b"name,fold\\n\\na.wav,1\\n")
    ([(1, ['name', 'fold']), (3, ['a.wav', '1'])], [])
    """
    rows, problems, last = [], [], 0
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [(content.count(b"\n", 0, error.start) + 1, str(error))]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if reader.line_num > last + 1:
                problems.append(
                    (last + 1, "a quoted field runs on into the next line")
                )
            elif fields:
                rows.append((last + 1, [field.strip() for field in fields]))
            last = reader.line_num
    except csv.Error as error:
        problems.append((last + 1, str(error)))
    return rows, problems


def header_problems(header, needed, known=()):
    """Say which columns are missing or stand there twice.

    Arguments
    ---------
    header : list
        The column names.
    needed : iterable
        Names that must be there once.
    known : iterable
        Names that may be there once.

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
