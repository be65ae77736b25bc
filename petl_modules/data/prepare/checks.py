"""What prepare scripts share: lists with all their problems, and manifests.

Authors
 * The PETL audio recipes team 2026
"""

import os
import unicodedata
from collections import Counter
from pathlib import Path, PureWindowsPath

from speechbrain.utils.logger import get_logger

from petl_modules.data import check_audio
from petl_modules.data.prepare.csv_lists import header_problems, read_rows
from petl_modules.data.prepare.manifest import manifest_path, write_manifest
from petl_modules.utils import listed, refusal

logger = get_logger(__name__)


def absolute(data_folder):
    """The data folder as an absolute path, links in it kept."""
    return Path(os.path.abspath(data_folder))


def read_list(path):
    """Give a file's bytes, or None where there is no such file.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    content : bytes or None

    Raises
    ------
    PermissionError or ValueError
        The file is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error, "make it a readable file") from error


def read_table(content, columns, known=()):
    """Read a CSV file by its header.

    Arguments
    ---------
    content : bytes
        The file, in UTF-8.
    columns : iterable
        Names of the columns that must be there.
    known : iterable
        Names of columns that may be there once.

    Returns
    -------
    rows : list
        ``(line, {column: text})`` pairs of the rows that are whole.
    problems : list
        ``(line, text)`` pairs. With a wrong header there are no rows.

    Example
    -------
    >>> read_table(b"name,fold\\na.wav,1\\nb.wav", ["name"])
    ([(2, {'name': 'a.wav', 'fold': '1'})], [(3, '1 fields where the header has 2')])
    """
    lines, problems = read_rows(content)
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
    """Say why a path in a list cannot be one below the data folder, or None.

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


def refuse(problems):
    """Raise all problems of a dataset's lists as one error, if there are any.

    Arguments
    ---------
    problems : list
        ``(file, line, text)`` triples.

    Raises
    ------
    ValueError
        With one line for each problem, ``file:line: text``.
    """
    if problems:
        texts = [f"{file}:{line}: {text}" for file, line, text in problems]
        raise ValueError(
            f"Problems in the list of clips ({len(texts)}):\n{listed(texts)}\n"
            "Correct them, or fetch the dataset again."
        )


def check_counts(name, counts, expected, allow_partial):
    """Compare counts with the dataset's own, or tell them for a subset.

    Arguments
    ---------
    name : str
        The dataset.
    counts : dict
        What was found, by what it is: a number, or a dict of numbers.
    expected : dict
        What must have been found, for some or all of ``counts``.
    allow_partial : bool
        Tell the counts and do not compare them.

    Raises
    ------
    ValueError
        If they differ.

    Example
    -------
    >>> check_counts("Set", {"clips": 3, "parts": {"a": 1, "b": 2}}, {}, True)
    A part of Set: 3 clips; parts a: 1, b: 2
    """
    if allow_partial:
        print(f"A part of {name}: {_told(counts)}")
        return
    found, wanted = {}, {}
    for what, number in expected.items():
        if isinstance(number, dict):  # only what differs in it
            keys = {**number, **counts[what]}
            pairs = {
                k: (counts[what].get(k, 0), number.get(k, 0)) for k in keys
            }
            pairs = {k: pair for k, pair in pairs.items() if pair[0] != pair[1]}
            found[what] = {k: pair[0] for k, pair in pairs.items()}
            wanted[what] = {k: pair[1] for k, pair in pairs.items()}
        elif counts[what] != number:
            found[what], wanted[what] = counts[what], number
    if any(wanted.values()):
        raise ValueError(
            f"{name} does not hold the whole dataset. Found: {_told(found)}. "
            f"Expected: {_told(wanted)}. Fetch it again, or give "
            "--allow_partial True to use a subset."
        )


def _told(counts):
    """Counts as text; long lists by their extremes."""
    texts = []
    for what, number in counts.items():
        if not isinstance(number, dict):
            texts.append(f"{number} {what}")
        elif len(number) > 12:
            low, high = min(number.values()), max(number.values())
            texts.append(f"{len(number)} {what} of {low} to {high}")
        elif number:
            each = ", ".join(f"{k}: {n}" for k, n in number.items())
            texts.append(f"{what} {each}")
    return "; ".join(texts)


def count(records, key):
    """How many records have each value of a key, sorted by value."""
    return dict(sorted(Counter(r[key] for r in records.values()).items()))


def warn_of_leaks(records, key, part):
    """Tell of recordings or speakers that stand in more than one part.

    Arguments
    ---------
    records : dict
        Records by id.
    key : str
        What should stay together, such as ``recording`` or ``speaker``.
    part : str
        The key of the part, ``fold`` or ``split``.
    """
    parts = {}
    for record in records.values():
        parts.setdefault(record[key], set()).add(record[part])
    leaks = [
        f"{key} {value!r} is in {part}s {', '.join(map(str, sorted(found)))}"
        for value, found in parts.items()
        if len(found) > 1
    ]
    if leaks:
        logger.warning(
            f"clips of one {key} stand in several {part}s, so test "
            f"accuracies come out too high:\n{listed(leaks)}"
        )


def finish(name, folder, manifest_folder, records, allow_partial):
    """Check the audio and write the manifest, or find the one that fits.

    The manifest's name carries a hash of the records, the folder, the option,
    and each file's size and time, so that a change of any makes a new one.

    Arguments
    ---------
    name : str
        The dataset.
    folder : pathlib.Path
        The data folder.
    manifest_folder : str or pathlib.Path
        Where the manifest goes.
    records : dict
        Records by id, ``wav`` relative to the data folder.
    allow_partial : bool
        Whether the counts were checked.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file: the records sorted by id, with ``{data_root}/`` in
        front of ``wav`` and ``duration`` in seconds.

    Raises
    ------
    AudioError
        A file is missing or unreadable.
    PermissionError or ValueError
        The manifest cannot be written.
    """
    records = dict(sorted(records.items()))
    paths = [folder / record["wav"] for record in records.values()]
    facts = [str(folder), bool(allow_partial), records]
    manifest = manifest_path(manifest_folder, name.lower(), facts, paths)
    if not manifest.exists():
        durations = check_audio(paths, f"Checking {name}")
        whole = {
            clip: {
                "wav": f"{{data_root}}/{record['wav']}",
                "duration": duration,
                **{k: v for k, v in record.items() if k != "wav"},
            }
            for (clip, record), duration in zip(records.items(), durations)
        }
        write_manifest(manifest, whole)
    return manifest
