"""Split a list into rows, whatever its encoding and its separator."""

import codecs
import csv
import io

SEPARATORS = ",;\t"
MARKS = {  # at the beginning of a file
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_list(content):
    """Return the text of a list, and None or why it is not text.

    Arguments
    ---------
    content : bytes
        The file, in UTF-8, or in UTF-16 with a byte order mark.

    Returns
    -------
    text : str
        Empty if there is a problem.
    problem : tuple or None
        Its line, and a text.

    Example
    -------
    >>> decode_list("café".encode("utf-16"))
    ('café', None)
    >>> decode_list("dog\\ncafé".encode("latin-1"))
    ('', (2, 'byte 0xe9 is not UTF-8: save the list as UTF-8'))
    """
    encoding = next(
        (name for mark, name in MARKS.items() if content.startswith(mark)),
        "utf-8",
    )
    name = encoding.removesuffix("-sig").upper()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte {content[error.start]:#04x}"
        return "", (line, f"{byte} is not {name}: save the list as UTF-8")
    return text, None


def read_rows(content, columns=()):
    """Split a CSV file into rows.

    Arguments
    ---------
    content : bytes
        The file, see ``decode_list``.
    columns : iterable
        Names of columns. They tell which character separates the fields.

    Returns
    -------
    rows : list
        ``(line, fields)`` pairs, the header first. Empty lines are left out.
    problems : list
        ``(line, text)`` pairs.

    Example
    -------
    >>> read_rows(b"name;fold\\n\\na.wav;1\\n", ["name"])
    ([(1, ['name', 'fold']), (3, ['a.wav', '1'])], [])
    """
    text, problem = decode_list(content)
    if problem:
        return [], [problem]
    if "\0" in text:  # UTF-16 without its mark, or no text
        line = text.count("\n", 0, text.index("\0")) + 1
        return [], [(line, "holds zero bytes: save the list as UTF-8")]
    # The one that finds the most of the columns; in doubt the comma
    return max(
        (_split(text, separator) for separator in SEPARATORS),
        key=lambda found: len(
            {*columns} & {*found[0][0][1]} if found[0] else ()
        ),
    )


def _split(text, separator):
    """Split a text into rows and problems, see ``read_rows``."""
    rows, problems, last = [], [], 0
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True
    )
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
