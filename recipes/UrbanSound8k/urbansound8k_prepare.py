"""Prepare UrbanSound8K: read its list, check its audio, write one manifest.

The dataset, 8,732 clips of up to 4 s in 10 classes and 10 folds, is by
J. Salamon, C. Jacoby and J. P. Bello, "A Dataset and Taxonomy for Urban Sound
Research", ACM Multimedia 2014,
https://urbansounddataset.weebly.com/urbansound8k.html (CC BY-NC 3.0).

Authors
 * The PETL audio recipes team 2026
"""

import re

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    read_list,
    read_table,
    refuse,
    warn_of_leaks,
)
from petl_modules.utils import show

LABELS = tuple(
    """
    air_conditioner car_horn children_playing dog_bark drilling
    engine_idling gun_shot jackhammer siren street_music
    """.split()
)
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")
KNOWN = ("start", "end", "salience")
FOLDS = {str(fold): fold for fold in range(1, 11)}
NAMES = {str(number): name for number, name in enumerate(LABELS)}
CLIP = re.compile("([0-9]+)-([0-9]+)-[0-9]+-[0-9]+[.]wav")
ABSENT = """{csv} was not found. UrbanSound8K is expected as

    {folder}/
        audio/fold1 to fold10/*.wav
        metadata/UrbanSound8K.csv

It is at https://urbansounddataset.weebly.com/urbansound8k.html (licence
CC BY-NC 3.0) and is not fetched by this recipe. Unpack it and give
    --data_folder DIR    the folder that holds audio and metadata,
or write a small generated dataset:
    python -m petl_modules.miniatures UrbanSound8k DIR"""


def prepare_urbansound8k(
    data_folder,
    manifest_folder,
    allow_partial=False,
    skip_bad_audio=False,
    features=None,
):
    """Check UrbanSound8K and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, fold, recording}}``
    with ``{data_root}`` for the data folder in ``wav``. Its name carries a
    hash of the list, the folder, the options, and each file's size and time,
    so that a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``audio`` and ``metadata``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.
    features : callable or None
        What will be made of the clips, see there.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : tuple
        The 10 official names by class number, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        The list cannot be read or the manifest cannot be written.
    DataError
        The list, the counts or the audio (``AudioError``) are not right.
    """
    folder = absolute(data_folder)
    table = folder / "metadata" / "UrbanSound8K.csv"
    content = read_list(table)
    if content is None:
        raise FileNotFoundError(ABSENT.format(csv=table, folder=folder))
    records = parse_clips(content, table)
    by_label, by_fold = count(records, "label"), count(records, "fold")
    check_counts(
        "UrbanSound8K",
        {
            "clips": len(records),
            "classes": len(by_label),
            "folds": len(by_fold),
        },
        {"clips": 8732, "classes": 10, "folds": 10},
        allow_partial,
    )
    for what, counts in (("class", by_label), ("fold", by_fold)):
        each = ", ".join(f"{value}: {n}" for value, n in counts.items())
        show(f"Clips by {what}: {each}")
    warn_of_leaks(records, "recording", "fold")
    manifest = finish(
        "UrbanSound8k",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def parse_clips(content, table):
    """Read the list of clips and report all of its problems.

    Arguments
    ---------
    content : bytes
        The CSV file.
    table : str or pathlib.Path
        The file's name, for error messages.

    Returns
    -------
    records : dict
        ``{id: {wav, label, fold, recording}}``.

    Raises
    ------
    DataError
        One line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> rows = b"slice_file_name,fsID,fold,classID,class\\n7-3-0-1.wav,7,5,3,dog_bark"
    >>> parse_clips(rows, "UrbanSound8K.csv")["7-3-0-1"]["wav"]
    'audio/fold5/7-3-0-1.wav'
    """
    rows, problems = read_table(content, COLUMNS, known=KNOWN)
    records, lines = {}, {}
    for line, row in rows:
        name = row["slice_file_name"]
        clip = name.removesuffix(".wav")
        problems += [(line, text) for text in _row_problems(row)]
        above = lines.setdefault(clip, line)
        if above != line:
            text = f"clip {clip!r} is listed in line {above} already"
            problems.append((line, text))
        records[clip] = {
            "wav": f"audio/fold{row['fold']}/{name}",
            "label": row["class"],
            "fold": FOLDS.get(row["fold"]),
            "recording": row["fsID"],
        }
    refuse([(table, line, text) for line, text in sorted(problems)])
    return records


def _row_problems(row):
    """Yield the problems of one row."""
    name, number = row["slice_file_name"], row["classID"]
    if not (parts := CLIP.fullmatch(name)):
        yield (
            f"slice_file_name {name!r} is not "
            "<fsID>-<classID>-<occurrence>-<slice>.wav"
        )
    elif parts[1] != row["fsID"]:
        yield f"fsID {row['fsID']!r} is not the {parts[1]!r} of {name!r}"
    if row["fold"] not in FOLDS:
        yield f"fold {row['fold']!r} is not an integer from 1 to 10"
    if number not in NAMES:
        yield f"classID {number!r} is not an integer from 0 to 9"
        return
    if parts and parts[2] != number:
        yield f"classID {number!r} is not the {parts[2]!r} of {name!r}"
    if row["class"] != NAMES[number]:
        yield (
            f"class {row['class']!r} is not the name of classID {number}, "
            f"{NAMES[number]!r}"
        )
