"""Prepare ESC-50: read its list, check its audio, write one manifest.

The dataset, 2,000 clips of 5 s in 50 classes and 5 folds, is by K. J. Piczak,
"ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015,
https://github.com/karolpiczak/ESC-50 (CC BY-NC).

Authors
 * The PETL audio recipes team 2026
"""

from pathlib import PureWindowsPath

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    path_problem,
    read_list,
    read_table,
    refuse,
    unpack,
    warn_of_leaks,
)
from petl_modules.data.prepare import download as fetch
from petl_modules.utils import DataError, is_taken

BYTES = 900_000_000  # of the unpacked dataset, roughly
ESC50_URL = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
LABELS = tuple(
    """
    dog rooster pig cow frog cat hen insects sheep crow
    rain sea_waves crackling_fire crickets chirping_birds
    water_drops wind pouring_water toilet_flush thunderstorm
    crying_baby sneezing clapping breathing coughing
    footsteps laughing brushing_teeth snoring drinking_sipping
    door_wood_knock mouse_click keyboard_typing door_wood_creaks can_opening
    washing_machine vacuum_cleaner clock_alarm clock_tick glass_breaking
    helicopter chainsaw siren car_horn engine
    train church_bells airplane fireworks hand_saw
    """.split()
)
COLUMNS = ("filename", "fold", "target", "category")
FOLDS = {str(fold): fold for fold in range(1, 6)}
NAMES = {str(target): name for target, name in enumerate(LABELS)}
ABSENT = """{csv} was not found. ESC-50 is expected as

    {folder}/
        audio/*.wav
        meta/esc50.csv

It is at https://github.com/karolpiczak/ESC-50 (licence CC BY-NC). Either give
    --data_folder DIR    the folder that holds audio and meta, or
    --download True      to fetch it there (about 600 MB),
or write a small generated dataset:
    python -m petl_modules.miniatures ESC50 DIR"""


def prepare_esc50(
    data_folder,
    manifest_folder,
    allow_partial=False,
    download=False,
    url=ESC50_URL,
    skip_bad_audio=False,
    features=None,
):
    """Check ESC-50 and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, fold, recording}}``
    with ``{data_root}`` for the data folder in ``wav``. Its name carries a
    hash of the list, the folder, the options, and each file's size and time,
    so that a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``audio`` and ``meta``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
    download : bool
        Fetch the dataset where the folder is absent or empty.
    url : str
        The zip archive to fetch.
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
        The 50 official names by target, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        The list cannot be read or the manifest cannot be written.
    DataError
        The list, the counts or the audio (``AudioError``) are not right, or
        the download would overwrite something.
    DownloadError
        The archive could not be fetched or unpacked.
    """
    folder = absolute(data_folder)
    table = folder / "meta" / "esc50.csv"
    content = read_list(table)
    if content is None:
        if not download:
            raise FileNotFoundError(ABSENT.format(csv=table, folder=folder))
        _download(url, folder)
        content = read_list(table)
        if content is None:
            raise DataError(
                f"{table}: not in the archive from {url}. Delete {folder} and "
                "give the address of ESC-50 itself."
            )
    records = parse_clips(content, table)
    check_counts(
        "ESC-50",
        {
            "clips": len(records),
            "classes": count(records, "label"),
            "folds": count(records, "fold"),
        },
        {
            "clips": 2000,
            "classes": dict.fromkeys(sorted(LABELS), 40),
            "folds": dict.fromkeys(FOLDS.values(), 400),
        },
        allow_partial,
    )
    warn_of_leaks(records, "recording", "fold")
    manifest = finish(
        "ESC50",
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
    >>> rows = b"filename,fold,target,category\\n1-a.wav,1,0,dog"
    >>> parse_clips(rows, "esc50.csv")["1-a"]["label"]
    'dog'
    """
    rows, problems = read_table(content, COLUMNS, known=["src_file"])
    records, lines = {}, {}
    for line, row in rows:
        clip = PureWindowsPath(row["filename"]).stem
        problems += [(line, text) for text in _row_problems(row)]
        above = lines.setdefault(clip, line)
        if above != line:
            text = f"clip {clip!r} is listed in line {above} already"
            problems.append((line, text))
        records[clip] = {
            "wav": f"audio/{row['filename']}",
            "label": row["category"],
            "fold": FOLDS.get(row["fold"]),
            "recording": row.get("src_file") or clip,
        }
    refuse([(table, line, text) for line, text in sorted(problems)])
    return records


def _row_problems(row):
    """Yield the problems of one row."""
    if problem := path_problem(row["filename"]):
        yield f"filename {problem}"
    if row["fold"] not in FOLDS:
        yield f"fold {row['fold']!r} is not an integer from 1 to 5"
    if row["target"] not in NAMES:
        yield f"target {row['target']!r} is not an integer from 0 to 49"
    elif row["category"] != NAMES[row["target"]]:
        yield (
            f"category {row['category']!r} is not the name of target "
            f"{row['target']}, {NAMES[row['target']]!r}"
        )


def _download(url, folder):
    """Fetch the archive and unpack it to the data folder."""
    if is_taken(folder):
        raise DataError(
            f"{folder} holds something, but no meta/esc50.csv, and nothing is "
            "downloaded over it. Give --data_folder a new or empty folder."
        )
    archive = folder.parent / "ESC-50-master.zip"
    had_archive = archive.exists()
    fetch(url, archive, largest=2 * BYTES)
    unpack(archive, folder, largest=2 * BYTES)
    if not had_archive:
        archive.unlink()
