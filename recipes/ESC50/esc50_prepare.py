"""Prepare ESC-50: read its list, check its audio, write one manifest.

The dataset, 2,000 clips of 5 s in 50 classes and 5 folds, is by K. J. Piczak,
"ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015,
https://github.com/karolpiczak/ESC-50 (CC BY-NC).

Authors
 * The PETL audio recipes team 2026
"""

import os
from collections import Counter
from pathlib import Path, PureWindowsPath

from speechbrain.utils.logger import get_logger

from petl_modules.audio import check_audio
from petl_modules.download import download as fetch
from petl_modules.download import unpack
from petl_modules.files import is_taken
from petl_modules.manifest import manifest_path, refusal, write_manifest
from petl_modules.tables import header_problems, listed, read_rows

logger = get_logger(__name__)

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
or try `make demo`, which needs no data."""


def prepare_esc50(
    data_folder,
    manifest_folder,
    allow_partial=False,
    download=False,
    url=ESC50_URL,
):
    """Check ESC-50 and write its manifest, or find the one that still fits.

    The manifest is ``{id: {wav, duration, label, fold, recording}}`` with
    ``{data_root}`` for the data folder in ``wav``. Its name carries a hash of
    the list, the folder, the options, and each file's size and time, so that
    a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``audio`` and ``meta``.
    manifest_folder : str or pathlib.Path
        Where the manifest goes.
    allow_partial : bool
        Take a subset of the clips: print the counts, do not check them.
    download : bool
        Fetch the dataset where the folder is absent or empty.
    url : str
        The zip archive to fetch.

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
    ValueError
        The list, the counts or the audio (``AudioError``) are not right, or
        the download would overwrite something.
    DownloadError
        The archive could not be fetched or unpacked.
    """
    folder = Path(os.path.abspath(data_folder))
    table = folder / "meta" / "esc50.csv"
    content = _read(table)
    if content is None:
        if not download:
            raise FileNotFoundError(ABSENT.format(csv=table, folder=folder))
        _download(url, folder)
        content = _read(table)
        if content is None:
            raise ValueError(
                f"{table}: not in the archive from {url}. Delete {folder} and "
                "give the address of ESC-50 itself."
            )
    clips = parse_clips(content, table)
    _check_counts(clips, table, allow_partial)
    _warn_of_leaks(clips, table)
    paths = [folder / "audio" / clip["filename"] for clip in clips.values()]
    facts = [content.hex(), str(folder), bool(allow_partial)]
    manifest = manifest_path(manifest_folder, "esc50", facts, paths)
    if not manifest.exists():
        durations = check_audio(paths, "Checking ESC-50")
        write_manifest(manifest, _records(clips, durations))
    return manifest, LABELS


def parse_clips(content, table):
    """Read the list of clips, reporting all that is wrong with it.

    Arguments
    ---------
    content : bytes
        The CSV file.
    table : str or pathlib.Path
        Its name, for the errors.

    Returns
    -------
    clips : dict
        ``{id: {filename, fold, label, recording}}``, sorted by id.

    Raises
    ------
    ValueError
        With one line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> rows = b"filename,fold,target,category\\n1-a.wav,1,0,dog"
    >>> parse_clips(rows, "esc50.csv")["1-a"]["label"]
    'dog'
    """
    rows, problems = read_rows(content)
    line, header = rows[0] if rows else (1, [])
    wrong = []
    if rows or not problems:
        texts = header_problems(header, COLUMNS, known=["src_file"])
        wrong = [(line, text) for text in texts]
    if not problems and not wrong and len(rows) == 1:
        wrong = [(line, "no clips are listed below the header")]
    problems += wrong
    clips, lines = {}, {}
    for line, fields in [] if wrong else rows[1:]:
        if len(fields) != len(header):
            text = f"{len(fields)} fields where the header has {len(header)}"
            problems.append((line, text))
            continue
        row = dict(zip(header, fields))
        row["id"] = PureWindowsPath(row["filename"]).stem
        row["src_file"] = row.get("src_file") or row["id"]
        problems += [(line, text) for text in _row_problems(row)]
        above = lines.setdefault(row["id"], line)
        if above != line:
            text = f"clip {row['id']!r} is listed in line {above} already"
            problems.append((line, text))
        clips[row["id"]] = {
            "filename": row["filename"],
            "fold": FOLDS.get(row["fold"]),
            "label": row["category"],
            "recording": row["src_file"],
        }
    if problems:
        texts = [f"{table}:{line}: {text}" for line, text in sorted(problems)]
        raise ValueError(
            f"Problems in the list of clips ({len(texts)}):\n{listed(texts)}\n"
            "Correct them, or fetch the dataset again."
        )
    return dict(sorted(clips.items()))


def _row_problems(row):
    """Say what is wrong with a row by itself."""
    path = PureWindowsPath(row["filename"])  # knows both kinds of slash
    if path.drive or path.root or ".." in path.parts:
        yield f"filename {row['filename']!r} leaves the audio folder"
    elif not path.stem or not row["filename"].isprintable():
        yield f"filename {row['filename']!r} is no file name"
    if row["fold"] not in FOLDS:
        yield f"fold {row['fold']!r} is not an integer from 1 to 5"
    if row["target"] not in NAMES:
        yield f"target {row['target']!r} is not an integer from 0 to 49"
    elif row["category"] != NAMES[row["target"]]:
        yield (
            f"category {row['category']!r} is not the name of target "
            f"{row['target']}, {NAMES[row['target']]!r}"
        )


def _warn_of_leaks(clips, table):
    """Tell of recordings that stand in more than one fold."""
    folds = {}
    for clip in clips.values():
        folds.setdefault(clip["recording"], set()).add(clip["fold"])
    leaks = [
        f"recording {recording!r} is in folds {sorted(found)}"
        for recording, found in folds.items()
        if len(found) > 1
    ]
    if leaks:
        logger.warning(
            f"{table}: clips of one recording stand in several folds, so "
            f"test accuracies come out too high:\n{listed(leaks)}"
        )


def _check_counts(clips, table, allow_partial):
    """Compare the counts with the dataset's, or tell them for a subset."""
    labels = Counter(clip["label"] for clip in clips.values())
    folds = Counter(clip["fold"] for clip in clips.values())
    found = (
        f"{len(clips)} clips; {len(labels)} classes of "
        f"{min(labels.values())} to {max(labels.values())}; "
        f"folds {', '.join(f'{k}: {n}' for k, n in sorted(folds.items()))}"
    )
    if allow_partial:
        print(f"A part of ESC-50: {found}")
    elif labels != dict.fromkeys(LABELS, 40) or folds != dict.fromkeys(
        FOLDS.values(), 400
    ):
        raise ValueError(
            f"{table} lists {found}. ESC-50 has 2000 clips; 50 classes of 40; "
            "folds of 400. Fetch it again, or give --allow_partial True to "
            "use a subset."
        )


def _records(clips, durations):
    """The manifest's entries."""
    return {
        name: {
            "wav": f"{{data_root}}/audio/{clip['filename']}",
            "duration": duration,
            "label": clip["label"],
            "fold": clip["fold"],
            "recording": clip["recording"],
        }
        for (name, clip), duration in zip(clips.items(), durations)
    }


def _read(path):
    """Give a file's bytes, or None where there is no such file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error, "make it a readable file") from error


def _download(url, folder):
    """Fetch the archive and unpack it to the data folder."""
    if is_taken(folder):
        raise ValueError(
            f"{folder} holds something, but no meta/esc50.csv, and nothing is "
            "downloaded over it. Give --data_folder a new or empty folder."
        )
    archive = folder.parent / "ESC-50-master.zip"
    had_archive = archive.exists()
    fetch(url, archive)
    unpack(archive, folder)
    if not had_archive:
        archive.unlink()
