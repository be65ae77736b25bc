"""Prepare sounds of your own: folders by class, or a CSV file.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import os
from pathlib import Path

import soundfile

from petl_modules.preparation import (
    absolute,
    count,
    finish,
    path_problem,
    read_list,
    read_table,
    refuse,
)
from petl_modules.tables import listed

SPLITS = ("train", "valid", "test")
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()}
SUFFIXES |= {".aif", ".oga", ".opus"}
LAYOUT = """Give --data_folder a folder such as

    {folder}/
        dog/*.wav
        rain/*.wav

or one with train/, valid/ and test/, each with such folders in it, or a CSV
file with --table FILE: the columns path (below the data folder) and label,
and, if you have them, split (train, valid, test) or fold (1, 2, ...)."""


def prepare_audio(data_folder, manifest_folder, table=None, n_folds=5):
    """Check the sounds and write their manifest, or find the one that fits.

    Where neither folders nor list say what trains and what tests, every
    class is spread over folds, evenly and by chance. The choice depends on
    the files' names alone. Where clips belong together (one recording, one
    speaker), give a list with a ``fold`` column that keeps them together.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder.
    manifest_folder : str or pathlib.Path
        Where the manifest goes.
    table : str or pathlib.Path or None
        A CSV file. None: each folder of the data folder is a class.
    n_folds : int
        How many folds are made where there are none.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : list
        The class names that were found, sorted.

    Raises
    ------
    FileNotFoundError
        The folder or the list is not there.
    ValueError
        The list, the folders or the audio (``AudioError``) are not right.
    """
    folder = absolute(data_folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}. {LAYOUT.format(folder=folder)}"
        )
    if table is None:
        records = find_clips(folder)
    else:
        content = read_list(Path(table))
        if content is None:
            raise FileNotFoundError(f"--table: there is no file {table}")
        records = parse_clips(content, table)
    classes = count(records, "label")
    if len(classes) < 2:
        raise ValueError(
            f"only one class was found: {', '.join(classes)}. "
            + LAYOUT.format(folder=folder)
        )
    if not any("split" in r or "fold" in r for r in records.values()):
        make_folds(records, n_folds)
    print(
        f"{len(records)} clips; "
        + ", ".join(f"{label}: {n}" for label, n in classes.items())
    )
    manifest = finish("audio", folder, manifest_folder, records, False)
    return manifest, list(classes)


def find_clips(folder):
    """Take each folder as a class, or as a split with a folder for each class.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    records : dict
        ``{path: {wav, label[, split]}}``.

    Raises
    ------
    ValueError
        Sounds outside the folders, or folders without sounds.
    """
    folders = _folders(folder)
    in_splits = {"train", "test"} <= {path.name for path in folders}
    records, problems = {}, []
    for path in _sounds(folder, recursive=False):
        problems.append(f"{path}: a sound outside the folders of classes")
    for outer in folders:
        if in_splits and outer.name not in SPLITS:
            problems.append(f"{outer}: beside train, valid and test")
            continue
        if in_splits:
            for path in _sounds(outer, recursive=False):
                problems.append(f"{path}: a sound outside a folder of a class")
        for inner in _folders(outer) if in_splits else [outer]:
            sounds = _sounds(inner)
            if not sounds:
                problems.append(f"{inner}: no sounds in this folder")
            for path in sounds:
                name = path.relative_to(folder).as_posix()
                records[name] = {"wav": name, "label": inner.name}
                if in_splits:
                    records[name]["split"] = outer.name
    if problems or not records:
        found = listed(problems) if problems else "  there are no folders in it"
        raise ValueError(
            f"{folder} cannot be read as classes:\n{found}\n"
            + LAYOUT.format(folder=folder)
        )
    return records


def _folders(folder):
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )


def _sounds(folder, recursive=True):
    found = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(
        path
        for path in found
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


def parse_clips(content, table):
    """Read a list of clips, reporting all that is wrong with it.

    Arguments
    ---------
    content : bytes
        The CSV file.
    table : str or pathlib.Path
        Its name, for the errors.

    Returns
    -------
    records : dict
        ``{path: {wav, label[, split or fold]}}``.

    Raises
    ------
    ValueError
        With one line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> parse_clips(b"path,label,fold\\na.wav,dog,1", "my.csv")
    {'a.wav': {'wav': 'a.wav', 'label': 'dog', 'fold': 1}}
    """
    rows, problems = read_table(content, ("path", "label"), ("split", "fold"))
    if rows and {"split", "fold"} <= rows[0][1].keys():
        rows, problems = [], [(1, "both 'split' and 'fold': keep one of them")]
    records, lines = {}, {}
    for line, row in rows:
        name = os.path.normpath(row["path"]) if row["path"] else ""
        problems += [(line, text) for text in _row_problems(row)]
        above = lines.setdefault(name, line)
        if above != line:
            text = f"path {name!r} is listed in line {above} already"
            problems.append((line, text))
        record = {"wav": name, "label": row["label"]}
        if "split" in row:
            record["split"] = row["split"]
        if row.get("fold", "").isdecimal():
            record["fold"] = int(row["fold"])
        records[name] = record
    refuse([(table, line, text) for line, text in sorted(problems)])
    return records


def _row_problems(row):
    """Say what is wrong with a row by itself."""
    if problem := path_problem(row["path"]):
        yield f"path {problem}"
    if not row["label"]:
        yield "the label is empty"
    if "split" in row and row["split"] not in SPLITS:
        yield f"split {row['split']!r} is none of: {', '.join(SPLITS)}"
    fold = row.get("fold", "1")
    if not (fold.isascii() and fold.isdecimal() and 1 <= int(fold) <= 1000):
        yield f"fold {fold!r} is not an integer from 1 to 1000"


def make_folds(records, n_folds):
    """Spread every class over folds, in place.

    Arguments
    ---------
    records : dict
        Records by path; each gets its ``fold``.
    n_folds : int
        How many.

    Raises
    ------
    ValueError
        If there are too few folds, or too few clips of a class.
    """
    if n_folds < 3:
        raise ValueError(
            f"n_folds is {n_folds}: training, validation and test need 3"
        )
    few = {k: n for k, n in count(records, "label").items() if n < n_folds}
    if few:
        found = ", ".join(f"{label}: {n}" for label, n in few.items())
        raise ValueError(
            f"some classes have fewer clips than the {n_folds} folds: "
            f"{found}. Add clips, or give a smaller --n_folds (at least 3)"
        )

    def chance(name):
        return hashlib.sha256(name.encode()).digest()

    # Class by class, so that folds are even in every class and as a whole
    ordered = sorted(records, key=lambda n: (records[n]["label"], chance(n)))
    for place, name in enumerate(ordered):
        records[name]["fold"] = place % n_folds + 1
