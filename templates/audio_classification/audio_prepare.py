"""Prepare sounds of your own: folders by class, or a CSV file.

Authors
 * The PETL audio recipes team 2026
"""

import os
import posixpath
import re
from collections import Counter

from petl_modules.data.prepare import (
    absolute,
    count,
    finish,
    is_sound,
    path_problem,
    read_list,
    read_manifest,
    read_table,
    refuse,
    refuse_look_alikes,
    walk,
    warn_of_leaks,
    warn_of_unknown_groups,
    warn_of_unused_columns,
)
from petl_modules.utils import DataError, listed, show

SPLITS = ("train", "valid", "test")
COLUMNS = ("path", "label", "group")  # names of columns that may be others
GROUPS = ("speaker", "group")  # keys of what stays together
# If all folders have such names, they are parts, not classes
PARTS = re.compile(
    r"train(ing)?|val(id(ation)?)?|dev|test(ing)?|eval(uation)?|fold[^a-z\d]?\d+",
    re.IGNORECASE,
)
FOLD = re.compile("0{0,2}[1-9][0-9]{0,2}")
UNWRITABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
LAYOUT = """Give --data_folder a folder such as

    {folder}/
        dog/*.wav
        rain/*.wav

or one with train/, valid/ and test/, each with such folders in it, or a CSV
file with --table FILE: the columns path (below the data folder) and label,
and, if you have them, split (train, valid, test) or fold (1, 2, ...), and
speaker or group. Formats other than WAV, FLAC, MP3, Ogg and AIFF may need to be
converted."""
OTHER_NAMES = (
    " --path_column, --label_column and --group_column take columns of other "
    "names."
)


def prepare_audio(
    data_folder,
    manifest_folder,
    table=None,
    n_folds=5,
    skip_bad_audio=False,
    path_column="path",
    label_column="label",
    group_column="group",
    features=None,
):
    """Check the sounds and write their manifest, if it is not up to date.

    If neither folders nor list define a split, every class is spread evenly and
    at random over folds, see ``petl_modules.data.prepare.make_folds``. If clips
    belong together (one recording, one speaker), give a list with a column
    ``speaker`` or ``group``, whose equal values stay in one fold.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    table : str or pathlib.Path or None
        A CSV file. None: each folder of the data folder is a class.
    n_folds : int
        Number of folds to make if the data define none.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.
    path_column, label_column, group_column : str
        Names of columns of the table.
    features : callable or None
        What will be made of the clips, see
        ``petl_modules.data.prepare.finish``.

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
    PermissionError
        A folder or the list cannot be read, or the manifest not written.
    DataError
        The list, the folders, the folds or the audio (``AudioError``) are
        not right.
    """
    folder = absolute(data_folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}. {LAYOUT.format(folder=folder)}"
        )
    columns = (str(path_column), str(label_column), str(group_column))
    if table is None and columns != COLUMNS:
        raise DataError(
            "--path_column, --label_column and --group_column need a --table"
        )
    if table is None:
        records = find_clips(folder)
    else:
        table = absolute(str(table))
        content = read_list(table)
        if content is None:
            raise FileNotFoundError(f"--table: there is no file {table}")
        records = parse_clips(content, table, folder, columns)
    refuse_look_alikes(records)
    classes = count(records, "label")
    if len(classes) < 2:
        raise DataError(
            f"only one class was found: {', '.join(classes)}. "
            + LAYOUT.format(folder=folder)
        )
    show(f"{len(records)} clips; {_told(classes, 'classes')}")
    keys = next(iter(records.values())).keys()
    part = "split" if "split" in keys else "fold"
    if given := part in keys:
        check_parts(records, part)
        for group in GROUPS:
            grouped = {k: r for k, r in records.items() if group in r}
            warn_of_leaks(grouped, group, part)
    manifest = finish(
        "audio",
        folder,
        manifest_folder,
        records,
        allow_partial=True,  # there are no counts to compare with
        skip_bad_audio=skip_bad_audio,
        n_folds=None if given else n_folds,
        features=features,
    )
    how = f"{part}s" if given else "folds, made by chance"
    show(_told(count(read_manifest(manifest), part), how))
    return manifest, list(classes)


def _told(counts, what):
    """Return counts as text; of a long list, the smallest and the largest."""
    each = ", ".join(f"{key}: {number}" for key, number in counts.items())
    if len(counts) > 20:
        each = f"{min(counts.values())} to {max(counts.values())} each"
    return f"{len(counts)} {what} ({each})"


def find_clips(folder):
    """Take each folder as a class, or as a split with a folder for each class.

    Subfolders of a class's folder belong to the class, links are followed,
    hidden files and those of the system are skipped, and files that are not
    audio are counted.

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
    PermissionError
        A folder cannot be read.
    DataError
        Sounds outside the folders, folders without sounds, or names that
        cannot be used.
    """
    paths = list(walk(folder))
    outer = {path.split("/")[0] for path in paths if "/" in path}
    keys = ("split", "label") if {"train", "test"} <= outer else ("label",)
    records, others, loose, clips = {}, [], [], Counter()
    for path in paths:
        *folders, name = path.split("/")
        place = "/".join(folders[: len(keys)])
        sound = is_sound(name)
        if len(folders) >= len(keys):
            clips[place] += sound
        if name and not sound:
            others.append(path)
        elif sound and len(folders) < len(keys):
            loose.append(path)
        elif sound:
            records[path] = {"wav": path, **dict(zip(keys, folders))}
    problems = [
        f"{folder / place}: no sounds; move it out if it is no class"
        for place, number in clips.items()
        if not number
    ]
    if loose:
        problems.append(
            f"{folder / loose[0]}: outside the folders of classes "
            f"({len(loose)} such sounds)"
        )
    problems += _name_problems(folder, outer, records)
    problems += [
        f"{folder / path}: a link to nothing"
        for path in others
        if not os.path.exists(folder / path)
    ]
    if problems or not records:
        found = listed(problems) if problems else "  there are no folders in it"
        raise DataError(
            f"{folder} cannot be read as classes:\n{found}\n"
            + LAYOUT.format(folder=folder)
        )
    if others:
        kinds = Counter(os.path.splitext(p)[1] or "none" for p in others)
        told = _told(dict(kinds.most_common()), "suffixes")
        show(f"{len(others)} files skipped, not audio; {told}")
    return records


def _name_problems(folder, outer, records):
    """Yield the problems with names of folders and files."""
    if {"train", "test"} <= outer:
        for name in sorted(outer.difference(SPLITS)):
            yield f"{folder / name}: next to train, valid and test"
    elif outer and all(map(PARTS.fullmatch, outer)):
        yield (
            f"{', '.join(sorted(outer))}: these seem to be parts, not classes. "
            "Name them train, valid and test, or list folds in a CSV file"
        )
    for path in filter(UNWRITABLE.search, records):
        yield f"{path!r}: give it a name in UTF-8, without control characters"


def parse_clips(content, table, folder, columns=COLUMNS):
    """Read a list of clips and report all of its problems.

    Arguments
    ---------
    content : bytes
        The CSV file.
    table : str or pathlib.Path
        The file's name, for error messages.
    folder : pathlib.Path
        The data folder. Paths may be absolute ones in it.
    columns : tuple of str
        Names of the columns of paths, labels and groups. The last one may
        be absent if it is ``group``.

    Returns
    -------
    records : dict
        ``{path: {wav, label[, split or fold][, speaker][, group]}}``.

    Raises
    ------
    DataError
        One line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> from pathlib import Path
    >>> content = b"path,label,fold\\na.wav,dog,1"
    >>> parse_clips(content, "my.csv", Path("my_sounds"))
    {'a.wav': {'wav': 'a.wav', 'label': 'dog', 'fold': 1}}
    """
    path_column, label_column, group_column = columns
    needed = columns[: 2 if group_column == "group" else 3]
    others = {k: k for k in ("split", "fold", *GROUPS) if k not in columns[:2]}
    if group_column in needed:
        others["group"] = group_column
    rows, problems = read_table(content, needed, others.values())
    header = rows[0][1].keys() if rows else ()
    if {"split", "fold"} <= others.keys() & header:
        problems.append((1, "both 'split' and 'fold': keep one of them"))
    for name in header:
        right = name.lower().removesuffix("s")
        is_free = right not in header and name not in columns
        if right in others and is_free:
            problems.append((1, f"column {name!r}: name it {right!r}"))
    roots = [f"{path}/" for path in (folder, folder.resolve())]
    records, lines = {}, {}
    for line, row in rows:
        path = row[path_column].replace("\\", "/")
        for root in roots:
            path = path.removeprefix(root)
        label = row[label_column]
        problems += [(line, text) for text in _row_problems(path, label, row)]
        name = posixpath.normpath(path)
        above = lines.setdefault(name, line)
        if above != line:
            text = f"path {name!r} is listed in line {above} already"
            problems.append((line, text))
        more = {k: row[name] for k, name in others.items() if row.get(name)}
        if number := FOLD.fullmatch(more.get("fold", "")):
            more["fold"] = int(number[0])
        records[name] = {"wav": name, "label": label, **more}
    remedy = "Correct them."
    if any("is missing" in text for _, text in problems):
        remedy += OTHER_NAMES
    refuse([(table, line, text) for line, text in sorted(problems)], remedy)
    if not {others.get(key) for key in GROUPS}.intersection(header):
        warn_of_unused_columns(header, columns[:2], "--group_column")
    warn_of_unknown_groups(records, GROUPS)
    return records


def _row_problems(path, label, row):
    """Yield the problems of one row."""
    if problem := path_problem(path):
        yield f"path {problem}"
    if not label or UNWRITABLE.search(label):
        yield f"label {label!r} is no name"
    if "split" in row and row["split"] not in SPLITS:
        yield f"split {row['split']!r} is none of: {', '.join(SPLITS)}"
    if "fold" in row and not FOLD.fullmatch(row["fold"]):
        yield f"fold {row['fold']!r} is not an integer from 1 to 999"


def check_parts(records, part):
    """Check that a list's splits or folds can train and test every class.

    Arguments
    ---------
    records : dict
        Records by path.
    part : str
        The key of the part, ``fold`` or ``split``.

    Raises
    ------
    DataError
        If a fold is empty, or a class is tested and never trained.
    """
    found = {}
    for record in records.values():
        found.setdefault(record["label"], set()).add(record[part])
    there = set().union(*found.values())
    wanted = {"train", "test"}
    if part == "fold":
        wanted = set(range(1, max(there)))
    if absent := wanted - there:
        where = ", ".join(map(str, sorted(there)))
        raise DataError(
            f"no clip is in {part} {min(absent)}; the clips are in: {where}"
        )
    untrained = [
        f"{label!r} is only in {part} {', '.join(map(str, sorted(parts)))}"
        for label, parts in found.items()
        if (len(parts) < 2 if part == "fold" else "train" not in parts)
    ]
    if untrained:
        raise DataError(
            "some classes would be tested without being trained:\n"
            f"{listed(untrained)}\nCorrect their names, or leave them out"
        )
